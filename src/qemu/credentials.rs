//! stub
use std::path::Path;
pub struct Credentials;
impl Credentials {
    pub fn make() -> crate::error::Result<Credentials> {
        Ok(Credentials)
    }
    pub fn source(&self) -> &Path {
        Path::new("/")
    }
    pub fn destination(&self) -> &Path {
        Path::new("/")
    }
    pub fn wipe(&self) {}
}
