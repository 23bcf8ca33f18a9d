//! Inks: what charts are drawn with. One colour per arm everywhere.

use crate::arm::Arm;

/// What a shape is drawn with. Arms keep their colour in light and dark; the other inks follow the
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
    /// A stage that is not the cipher: dark, medium or light grey (0 to 2).
    Stage(u8),
    /// An arm.
    Arm(Arm),
}

/// An arm's colour: the palette of Okabe and Ito (Color Universal Design, 2008), which readers
/// with any colour vision can tell apart, with grey for `plain`. The two libraries take warm
/// (RustCrypto) and cool (aws-lc) colours; purple is aws-lc without instructions.
pub fn arm_rgb(arm: Arm) -> (u8, u8, u8) {
    match arm {
        Arm::Plain => (0x80, 0x80, 0x80),
        Arm::Copy => (0x00, 0x9e, 0x73),
        Arm::RustcryptoSoft => (0xe6, 0x9f, 0x00),
        Arm::Rustcrypto => (0xd5, 0x5e, 0x00),
        Arm::AwsLcSoft => (0xcc, 0x79, 0xa7),
        Arm::AwsLcAesni => (0x56, 0xb4, 0xe9),
        Arm::AwsLc => (0x00, 0x72, 0xb2),
    }
}

impl Ink {
    /// The inks that follow the page's theme, with the name of their CSS variable.
    pub const THEMED: [(Ink, &'static str); 7] = [
        (Ink::Text, "ink"),
        (Ink::Muted, "muted"),
        (Ink::Grid, "grid"),
        (Ink::Paper, "paper"),
        (Ink::Stage(0), "stage0"),
        (Ink::Stage(1), "stage1"),
        (Ink::Stage(2), "stage2"),
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
            Ink::Stage(_) => (0xcf, 0xd4, 0xd9),
            Ink::Arm(arm) => arm_rgb(arm),
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
        let mut colours: Vec<_> = Arm::ALL.into_iter().map(arm_rgb).collect();
        colours.extend(Ink::THEMED.iter().map(|(ink, _)| ink.rgb()));
        let n = colours.len();
        colours.sort_unstable();
        colours.dedup();
        assert_eq!(colours.len(), n);
    }
}
