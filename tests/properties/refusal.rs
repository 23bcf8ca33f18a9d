//! What holds of every refusal.

/// A refusal is one line of text without control characters: it goes to terminals and logs, and
/// often repeats what was refused.
pub fn one_line(error: &impl std::fmt::Display) {
    let text = error.to_string();
    assert!(!text.is_empty(), "a refusal says why");
    assert!(
        !text.contains(char::is_control),
        "a refusal of more than one line: {text:?}"
    );
}
