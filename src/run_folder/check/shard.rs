//! What a run says of the part that it is.

use crate::error::{Error, Result};
use crate::results::{MOST_SHARDS, Results};
use crate::scenario::MAX_POINTS;

/// A shard is one of so many, and holds blocks of its own only.
pub(super) fn check(results: &Results) -> Result<()> {
    let Some(shard) = &results.shard else {
        return Ok(());
    };
    for (field, value, least, most) in [
        ("of", shard.of, 1, MOST_SHARDS),
        ("index", shard.index, 1, shard.of),
        ("points", shard.points, 1, MAX_POINTS as u32),
        ("point", shard.point, 0, shard.points.saturating_sub(1)),
    ] {
        Error::unless(
            (least..=most).contains(&value),
            format_args!("shard.{field}"),
            value,
            format_args!("{least} to {most}"),
        )?;
    }
    let is_hash = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    Error::unless(
        is_hash(&shard.matrix),
        "shard.matrix",
        &shard.matrix,
        "32 hexadecimal digits",
    )?;
    let stray = results.migrations.iter().find(|m| !shard.holds(m.block));
    match stray {
        None => Ok(()),
        Some(m) => Err(Error::invalid(
            "block",
            m.block,
            format_args!(
                "of point {} it belongs to shard {} of {}, not to {}",
                shard.point,
                shard.owner(m.block),
                shard.of,
                shard.index
            ),
        )),
    }
}
