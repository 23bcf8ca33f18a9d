//! Throw-away x509 credentials for QEMU's TLS, one set a migration: an authority, a certificate for
//! each side, in the files that QEMU reads.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};
use crate::private::{self, PrivateFolder};

/// The credentials of both sides, in a private folder that goes when they are dropped.
///
/// Keys are ECDSA over P-256. Each side has the authority's certificate, its own certificate and its
/// own key; the authority's key is never written.
#[derive(Debug)]
pub struct Credentials {
    source: PathBuf,
    destination: PathBuf,
    /// What holds both.
    folder: PrivateFolder,
}

impl Credentials {
    /// Makes keys and certificates, and writes them.
    ///
    /// # Errors
    /// If a certificate can't be made or a file not be written.
    pub fn make() -> Result<Credentials> {
        let folder = PrivateFolder::make()?;
        let credentials = Credentials {
            source: folder.path().join("source"),
            destination: folder.path().join("destination"),
            folder,
        };
        credentials.write()?;
        Ok(credentials)
    }

    /// The source's folder: QEMU's `tls-creds-x509` with `endpoint=client`.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The destination's folder: QEMU's `tls-creds-x509` with `endpoint=server`, whose certificate is
    /// that of `localhost` and 127.0.0.1.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Overwrites the files and removes them and their folders; nothing, the second time. QEMU has no
    /// use for them once it has loaded them, which it does before it answers. What can't be removed is
    /// named on standard error, and tried again by the drop.
    pub fn wipe(&self) {
        self.folder.wipe();
    }

    /// The folder that holds both sides'.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self) -> Result<()> {
        let authority_key = Key::make()?;
        let mut authority = parameters("migtax, a throw-away authority", &[])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = authority.self_signed(&authority_key.0).map_err(failed)?;
        let issuer = Issuer::from_params(&authority, &authority_key.0);
        let sides = [
            (
                &self.source,
                "client",
                ExtendedKeyUsagePurpose::ClientAuth,
                parameters("migtax source", &[])?,
            ),
            (
                &self.destination,
                "server",
                ExtendedKeyUsagePurpose::ServerAuth,
                parameters("localhost", &["localhost", "127.0.0.1"])?,
            ),
        ];
        for (folder, role, purpose, mut leaf) in sides {
            let private = DirBuilder::new().mode(0o700).create(folder);
            private.map_err(|error| Error::writing(folder, error))?;
            // QEMU refuses a critical key usage without key encipherment, of which ECDSA makes no
            // use, and an authority where a side's own certificate is due (crypto/tlscredsx509.c).
            leaf.is_ca = IsCa::ExplicitNoCa;
            leaf.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyEncipherment,
            ];
            leaf.extended_key_usages = vec![purpose];
            let key = Key::make()?;
            let own = leaf.signed_by(&key.0, &issuer).map_err(failed)?;
            let file = |name: &str, text: &str| private::write(&folder.join(name), text);
            file("ca-cert.pem", &certificate.pem())?;
            file(&format!("{role}-cert.pem"), &own.pem())?;
            file(&format!("{role}-key.pem"), &key.pem())?;
        }
        Ok(())
    }
}

/// A private key that is overwritten when dropped. What the crate copies while it encodes the key is
/// not: its file is as secret.
struct Key(KeyPair);

impl Key {
    fn make() -> Result<Key> {
        KeyPair::generate().map(Key).map_err(failed)
    }

    fn pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn failed(error: rcgen::Error) -> Error {
    Error::CannotRun(format!("TLS credentials: {error}"))
}

/// Parameters of a certificate of that name, for a server of these names.
fn parameters(name: &str, server: &[&str]) -> Result<CertificateParams> {
    let server: Vec<String> = server.iter().copied().map(str::to_owned).collect();
    let mut parameters = CertificateParams::new(server).map_err(failed)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn each_side_has_its_own_files_alone_and_nobody_else_reads_them() {
        let credentials = Credentials::make().unwrap();
        for (folder, own) in [
            (credentials.source(), "client"),
            (credentials.destination(), "server"),
        ] {
            let files = ["ca-cert.pem", "cert.pem", "key.pem"];
            let named = |file: &&str| match *file {
                "ca-cert.pem" => (*file).to_owned(),
                file => format!("{own}-{file}"),
            };
            assert_eq!(names(folder), files.iter().map(named).collect::<Vec<_>>());
            assert_eq!(mode(folder.parent().unwrap()), 0o700);
            assert_eq!(mode(folder), 0o700);
            for file in names(folder) {
                assert_eq!(mode(&folder.join(&file)), 0o600, "{file}");
                let text = fs::read_to_string(folder.join(&file)).unwrap();
                let holds = text.lines().next().unwrap();
                let is_key = file.contains("key");
                let kind = if is_key { "PRIVATE KEY" } else { "CERTIFICATE" };
                assert_eq!(holds, format!("-----BEGIN {kind}-----"), "{file}");
            }
        }
        let read = |folder: &Path, file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(
            read(credentials.source(), "ca-cert.pem"),
            read(credentials.destination(), "ca-cert.pem")
        );
        assert_ne!(
            read(credentials.source(), "client-key.pem"),
            read(credentials.destination(), "server-key.pem")
        );
        let other = Credentials::make().unwrap();
        assert_ne!(
            read(credentials.source(), "client-key.pem"),
            read(other.source(), "client-key.pem")
        );
    }

    #[test]
    fn nothing_is_left_of_them() {
        let credentials = Credentials::make().unwrap();
        let folder = credentials.source().parent().unwrap().to_owned();
        // A second name of the key's file shows what its bytes became.
        let elsewhere = tempfile::tempdir_in(folder.parent().unwrap()).unwrap();
        let link = elsewhere.path().join("key");
        fs::hard_link(credentials.source().join("client-key.pem"), &link).unwrap();
        let written = fs::read(&link).unwrap();
        credentials.wipe();
        assert!(!folder.exists());
        assert_eq!(fs::read(&link).unwrap(), vec![0; written.len()]);
        credentials.wipe();
        drop(credentials);
        let dropped = Credentials::make().unwrap();
        let folder = dropped.source().parent().unwrap().to_owned();
        drop(dropped);
        assert!(!folder.exists());
        // Nor after a panic.
        let kept = Mutex::new(PathBuf::new());
        let panicked = std::panic::catch_unwind(|| {
            let credentials = Credentials::make().unwrap();
            *kept.lock().unwrap() = credentials.source().to_owned();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        let folder = kept.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!folder.as_os_str().is_empty() && !folder.parent().unwrap().exists());
    }
}
