//! What a run says of the part that it is, or of those that it was put together from.

use crate::error::{Error, Result};
use crate::results::{MOST_SHARDS, Results, Shard};
use crate::scenario::MAX_POINTS;

/// A shard is one of so many, and holds blocks of its own only. A merged run names shards of one division.
pub(super) fn check(results: &Results) -> Result<()> {
    if let Some(parts) = &results.parts {
        Error::unless(
            results.shard.is_none(),
            "parts",
            "with shard",
            "a run is a shard, or was put together from some",
        )?;
        check_numbers("parts.first", &parts.first)?;
        let of = parts.first.of;
        let stray = parts.whole.iter().find(|index| !(1..=of).contains(*index));
        if let Some(index) = stray {
            return Err(Error::invalid(
                "parts.whole",
                index,
                format_args!("1 to {of}"),
            ));
        }
    }
    let Some(shard) = &results.shard else {
        return Ok(());
    };
    check_numbers("shard", shard)?;
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

fn check_numbers(place: &str, shard: &Shard) -> Result<()> {
    for (field, value, least, most) in [
        ("of", shard.of, 1, MOST_SHARDS),
        ("index", shard.index, 1, shard.of),
        ("points", shard.points, 1, MAX_POINTS as u32),
        ("point", shard.point, 0, shard.points.saturating_sub(1)),
    ] {
        Error::unless(
            (least..=most).contains(&value),
            format_args!("{place}.{field}"),
            value,
            format_args!("{least} to {most}"),
        )?;
    }
    let is_hash = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    Error::unless(
        is_hash(&shard.matrix),
        format_args!("{place}.matrix"),
        &shard.matrix,
        "32 hexadecimal digits",
    )
}
