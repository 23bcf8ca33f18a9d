//! Foreign text where it could act instead of being shown: Markdown, terminals, CSV and the shell.
//! In pages `maud` escapes what is not markup by its type; in XML `quick-junit` does.

/// Text for a Markdown table cell or paragraph: one line, nothing in it is markup or leads anywhere
/// once it stands in a pull request.
pub fn markdown(text: &str) -> String {
    // Forges look for mentions, issues and bare addresses in what a reader sees, so that escapes
    // alone don't stop them; a space of no width does.
    const APART: &str = "&#8203;";
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let in_word = before.is_alphanumeric() && chars.peek().is_some_and(|c| c.is_alphanumeric());
        before = c;
        match c {
            '_' if in_word => out.push('_'),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str(&format!("&#64;{APART}")),
            '#' => out.push_str(&format!("\\#{APART}")),
            c if c.is_whitespace() || is_unsafe(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out.replace("://", &format!(":{APART}//"))
        .replace("www.", &format!("www{APART}."))
}

/// A CSV field after RFC 4180. A text that a spreadsheet would take for a formula is prefixed
/// with an apostrophe.
pub fn csv(text: &str) -> String {
    let formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Text for a terminal or a log: one line, without control characters, and nothing that the log of
/// a CI job takes for a command (`::error::` at the start of a line, `##[error]` anywhere).
pub fn terminal(text: &str) -> String {
    let safe = |c: char| if is_unsafe(c) { ' ' } else { c };
    let text: String = text.chars().map(safe).collect();
    let text = text.replace("##[", "## [");
    match text.trim_start().starts_with("::") {
        true => text.replacen("::", ": :", 1),
        false => text,
    }
}

/// Whether a character could act on what shows it instead of being shown: controls, among them the
/// start of every escape sequence, marks that turn the direction of writing, and the two that XML
/// can't hold.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// A command line for a POSIX shell.
pub fn shell(words: &[String]) -> String {
    // A file can hold what no argument can: NUL.
    let quoter = shlex::Quoter::new().allow_nul(true);
    let line = quoter.join(words.iter().map(String::as_str));
    line.expect("everything is let through")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(
            markdown("a|b\r\n*c* _e_ f_g @d <i> ![x](y) `z`"),
            "a\\|b  \\*c\\* \\_e\\_ f_g &#64;&#8203;d &lt;i&gt; \\!\\[x\\](y) \\`z\\`"
        );
        assert_eq!(
            markdown("https://x www.y #1"),
            "https:&#8203;//x www&#8203;.y \\#&#8203;1"
        );
        assert_eq!(csv("plain"), "plain");
        assert_eq!(csv("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv("=1+1"), "'=1+1");
        assert_eq!(csv("-1.5"), "-1.5");
        assert_eq!(terminal("::set-env name=x::y"), ": :set-env name=x::y");
        assert_eq!(terminal("\t::a crate::b"), " : :a crate::b");
        assert_eq!(terminal("a ##[add-path]b a::b"), "a ## [add-path]b a::b");
        assert_eq!(terminal("a\u{1b}[31mb\n\u{202e}c\u{9b}"), "a [31mb  c ");
        let words =
            ["migtax", "run", "--link", "10Gbit/s", "it's here", "$a", ""].map(str::to_owned);
        assert_eq!(
            shell(&words),
            r#"migtax run --link 10Gbit/s "it's here" '$a' ''"#
        );
        assert_eq!(shlex::split(&shell(&words)).unwrap(), words);
    }
}
