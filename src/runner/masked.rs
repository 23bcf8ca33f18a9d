//! Commands as results record them: without the secrets that people put on command lines.

/// What stands where a secret was.
const MASK: &str = "***";

/// Names that end in one of these, or have a part that does, stand for a secret.
const SECRETS: [&str; 8] = [
    "PASS",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PWD",
    "SECRET",
    "TOKEN",
    "KEY",
];

/// Names that end in one of these say where a secret is, or how it is asked for.
const PLACES: [&str; 6] = ["FILE", "PATH", "STDIN", "FD", "PROMPT", "DIR"];

/// Commands within commands, such as `sh -c '...'`, are looked into to this depth.
const DEEPEST: u32 = 8;

/// The words of a command, with `***` for each secret of a known form: after `sshpass -p`, attached
/// to it or not; after `-pw`; the value of an assignment, an option or an option of `ssh -o` whose name
/// is that of a password, passphrase, secret, token or key (`SSHPASS=`, `--password`, `--api-key=`);
/// the password in an address (`https://user:password@host`). Words that are commands themselves
/// are looked into.
pub fn masked(words: &[String]) -> Vec<String> {
    mask(words, DEEPEST)
}

fn mask(words: &[String], depth: u32) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    let mut next = Next::Anything;
    let mut sshpass = false;
    for word in words {
        let (shown, then) = match next {
            Next::Secret => (MASK.to_owned(), Next::Anything),
            Next::Argument => (word.clone(), Next::Anything),
            Next::Anything if sshpass && word.starts_with('-') => option_of_sshpass(word),
            Next::Anything => {
                sshpass = word.rsplit('/').next() == Some("sshpass");
                mask_word(word, depth)
            }
        };
        next = then;
        out.push(shown);
    }
    out
}

/// What a word says of the next one.
#[derive(Clone, Copy)]
enum Next {
    Anything,
    /// It belongs to this one and is none.
    Argument,
    Secret,
}

/// sshpass knows `-p PASSWORD`, `-f FILE`, `-d FD`, `-P PROMPT` and flags without a value.
fn option_of_sshpass(word: &str) -> (String, Next) {
    let Some(at) = word.find(['p', 'f', 'd', 'P']) else {
        return (word.to_owned(), Next::Anything);
    };
    let (option, value) = word.split_at(at + 1);
    match (option.ends_with('p'), value.is_empty()) {
        (true, true) => (word.to_owned(), Next::Secret),
        (true, false) => (format!("{option}{MASK}"), Next::Anything),
        (false, true) => (word.to_owned(), Next::Argument),
        (false, false) => (word.to_owned(), Next::Anything),
    }
}

fn mask_word(word: &str, depth: u32) -> (String, Next) {
    let name_of = |text: &str| {
        let name = text.trim_start_matches('-');
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
    };
    if let Some((before, value)) = word.split_once('=')
        && let Some(name) = name_of(before)
    {
        let shown = match is_secret(&name) {
            true => MASK.to_owned(),
            false => mask_command(value, depth),
        };
        return (format!("{before}={shown}"), Next::Anything);
    }
    let is_option = word.starts_with("--") && name_of(word).is_some_and(|name| is_secret(&name));
    if is_option || word == "-pw" {
        return (word.to_owned(), Next::Secret);
    }
    (mask_command(word, depth), Next::Anything)
}

/// Whether a name is that of a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let mut parts = name.split(['_', '-']);
    let is_place = PLACES.iter().any(|place| name.ends_with(place));
    !is_place && parts.any(|part| SECRETS.iter().any(|secret| part.ends_with(secret)))
}

/// A word that may be a command of several words, or an address.
fn mask_command(word: &str, depth: u32) -> String {
    if !word.contains(char::is_whitespace) {
        return mask_address(word);
    }
    let apart = match shlex::split(word) {
        Some(words) if depth > 0 => words,
        // Whatever it is, a word of it may be a secret.
        _ => word.split_whitespace().map(str::to_owned).collect(),
    };
    let shown = mask(&apart, depth.saturating_sub(1));
    match shown == apart {
        true => word.to_owned(),
        false => join(&shown),
    }
}

/// The words as a shell takes them, the masks without quotes that they don't need to be read.
fn join(words: &[String]) -> String {
    let quoted = |word: &String| match word.contains(MASK) {
        true if !word.contains(|c: char| c.is_whitespace() || c == '\'' || c == '"') => {
            word.clone()
        }
        _ => shlex::try_quote(word).map_or_else(|_| MASK.to_owned(), |word| word.into_owned()),
    };
    let words: Vec<String> = words.iter().map(quoted).collect();
    words.join(" ")
}

/// `scheme://user:password@host` without its password.
fn mask_address(word: &str) -> String {
    let masked = || {
        let (scheme, rest) = word.split_once("://")?;
        let end = rest.find('/').unwrap_or(rest.len());
        let at = rest[..end].rfind('@')?;
        let (user, _) = rest[..at].split_once(':')?;
        Some(format!("{scheme}://{user}:{MASK}{}", &rest[at..]))
    };
    masked().unwrap_or_else(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_known_forms_are_masked_and_nothing_else_is() {
        for (command, shown) in [
            (
                "sshpass -p X ssh -p 22 h migtax",
                "sshpass -p *** ssh -p 22 h migtax",
            ),
            (
                "/usr/bin/sshpass -v -pX ssh h",
                "/usr/bin/sshpass -v -p*** ssh h",
            ),
            ("sshpass -vp X ssh h", "sshpass -vp *** ssh h"),
            ("sshpass -P p -p X ssh h", "sshpass -P p -p *** ssh h"),
            (
                "sshpass -f file -d 3 ssh -pX h",
                "sshpass -f file -d 3 ssh -pX h",
            ),
            ("SSHPASS=X sshpass -e ssh h", "SSHPASS=*** sshpass -e ssh h"),
            ("env A=1 DB_PASSWORD=X h", "env A=1 DB_PASSWORD=*** h"),
            (
                "env API_KEY=X api_token=Y h",
                "env API_KEY=*** api_token=*** h",
            ),
            (
                "TOKEN_FILE=/run/t PASSWORD_PROMPT=p h",
                "TOKEN_FILE=/run/t PASSWORD_PROMPT=p h",
            ),
            ("wrap --password X h", "wrap --password *** h"),
            (
                "wrap --api-key=X --token X",
                "wrap --api-key=*** --token ***",
            ),
            ("wrap --password-file f h", "wrap --password-file f h"),
            ("plink -pw X h", "plink -pw *** h"),
            ("run https://u:X@h/a?b=c", "run https://u:***@h/a?b=c"),
            (
                "ssh -o PasswordAuthentication=no -i key h",
                "ssh -o PasswordAuthentication=no -i key h",
            ),
            (
                "ssh -o BatchMode=yes host2 migtax",
                "ssh -o BatchMode=yes host2 migtax",
            ),
        ] {
            let words = shlex::split(command).unwrap();
            assert_eq!(masked(&words).join(" "), shown);
        }
    }

    #[test]
    fn commands_within_commands_are_looked_into() {
        let inner = "sh -c 'sshpass -p \"X Y\" ssh h'";
        for words in [
            vec!["migtax", "run", "--destination", inner],
            vec!["migtax", "run", &format!("--destination={inner}")],
            vec!["sh", "-c", "sh -c \"sh -c 'TOKEN=\\\"X Y\\\" h'\""],
            // Not closed: taken apart at its spaces.
            vec!["sh", "-c", "sshpass -p X 'ssh"],
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let shown = masked(&words).join(" ");
            assert!(!shown.contains('X') && !shown.contains('Y'), "{shown}");
            assert!(shown.contains(MASK), "{shown}");
        }
        let quoted = ["sh", "-c", "echo 'a  b' \"$HOME\""].map(str::to_owned);
        assert_eq!(masked(&quoted), quoted, "as it was given");
    }
}
