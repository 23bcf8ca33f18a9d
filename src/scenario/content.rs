//! What shares of content may be, of memory and of a disk.

use super::check::allowed;
use crate::error::{Error, Result};
use crate::guest::content::ContentSpec;

/// Refuses shares of the field `of` that can't be.
pub(super) fn check(of: &str, content: &ContentSpec) -> Result<()> {
    let allowed = |field| allowed(field).unwrap_or("impossible");
    let ContentSpec {
        zero,
        constant,
        compressible,
    } = *content;
    for (share, value) in [
        ("zero", zero),
        ("constant", constant),
        ("compressible", compressible),
    ] {
        let field = format!("{of}.{share}");
        let fine = (0.0..=1.0).contains(&value);
        Error::unless(fine, field, value, allowed("guest.content.zero"))?;
    }
    // Shares written in decimal may sum to just above 1.
    Error::unless(
        zero + constant + compressible <= 1.0 + 1e-9,
        of,
        format_args!("{{ zero = {zero}, constant = {constant}, compressible = {compressible} }}"),
        allowed("guest.content"),
    )
}
