//! Inks: what charts are drawn with. One colour per arm everywhere.

use crate::arm::Arm;

/// What an element is drawn with. Arms keep their colour in light and dark; the other inks follow the
/// page's theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Text and marks.
    Text,
    /// Secondary text and axes.
    Muted,
    /// Grid lines.
    Grid,
    /// The paper.
    Paper,
    /// A stage that is not the cipher: dark, medium or light grey (0 to 2), or compression (3).
    Stage(u8),
    /// An arm.
    Arm(Arm),
}

impl Ink {
    /// The inks that follow the page's theme, with the name of their CSS variable.
    pub const THEMED: [(Ink, &'static str); 8] = [
        (Ink::Text, "ink"),
        (Ink::Muted, "muted"),
        (Ink::Grid, "grid"),
        (Ink::Paper, "paper"),
        (Ink::Stage(0), "stage0"),
        (Ink::Stage(1), "stage1"),
        (Ink::Stage(2), "stage2"),
        (Ink::Stage(3), "stage3"),
    ];

    /// The colour on white paper. No themed ink has an arm's colour.
    pub fn rgb(self) -> (u8, u8, u8) {
        match self {
            Ink::Text => (0x1b, 0x1f, 0x24),
            Ink::Muted => (0x5a, 0x62, 0x6b),
            Ink::Grid => (0xe3, 0xe6, 0xe9),
            Ink::Paper => (0xff, 0xff, 0xff),
            Ink::Stage(0) => (0x6f, 0x76, 0x7e),
            Ink::Stage(1) => (0xa3, 0xa9, 0xb0),
            Ink::Stage(2) => (0xcf, 0xd4, 0xd9),
            Ink::Stage(_) => (0x3d, 0x43, 0x4a),
            Ink::Arm(arm) => arm.row().colour,
        }
    }
}

/// A colour as `#RRGGBB`.
pub fn hex((r, g, b): (u8, u8, u8)) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ink_has_its_own_colour() {
        let mut colours: Vec<_> = Arm::all().map(|arm| arm.row().colour).collect();
        colours.extend(Ink::THEMED.iter().map(|(ink, _)| ink.rgb()));
        let n = colours.len();
        colours.sort_unstable();
        colours.dedup();
        assert_eq!(colours.len(), n);
    }
}
