//! How wholes are read whose parts not every engine tells: all of the parts, or none. Read as an optional
//! structure of its own, a part that is missing or no number would pass for parts that were not told.

use serde::Deserialize;

use super::{
    DestinationCpu, DestinationSampling, DestinationStages, Downtime, DowntimeParts, SourceCpu,
    SourceSampling, SourceStages,
};

/// As [`Downtime`] stands in a file.
#[derive(Deserialize)]
pub(super) struct ReadDowntime {
    total_s: f64,
    pause_s: Option<f64>,
    harvest_s: Option<f64>,
    transfer_s: Option<f64>,
    #[serde(alias = "takeover_s")] // schema 1
    switchover_s: Option<f64>,
}

/// As [`SourceCpu`] stands in a file.
#[derive(Deserialize)]
pub(super) struct ReadSource {
    total_s: f64,
    vcpu_s: f64,
    tunnel_s: Option<f64>,
    prepare_s: Option<f64>,
    compress_s: Option<f64>,
    seal_s: Option<f64>,
    transmit_s: Option<f64>,
    other_s: Option<f64>,
    sampling: Option<SourceSampling>,
}

/// As [`DestinationCpu`] stands in a file.
#[derive(Deserialize)]
pub(super) struct ReadDestination {
    total_s: f64,
    tunnel_s: Option<f64>,
    receive_s: Option<f64>,
    open_s: Option<f64>,
    decompress_s: Option<f64>,
    apply_s: Option<f64>,
    other_s: Option<f64>,
    sampling: Option<DestinationSampling>,
}

/// What stands beside the parts only where something is compressed.
fn beside<T>(parts: Option<T>, (name, part): (&str, Option<f64>)) -> Result<Option<T>, String> {
    match (parts, part) {
        (None, Some(_)) => Err(format!("`{name}` without the other stages")),
        (parts, _) => Ok(parts),
    }
}

/// All of the parts, or none.
fn all_or_none<const N: usize>(
    parts: [(&str, Option<f64>); N],
) -> Result<Option<[f64; N]>, String> {
    if parts.iter().all(|(_, part)| part.is_none()) {
        return Ok(None);
    }
    let mut values = [0.0; N];
    for (value, (name, part)) in values.iter_mut().zip(parts) {
        let names = || parts.map(|(name, _)| name).join(", ");
        *value = part
            .ok_or_else(|| format!("missing field `{name}`: must be all of {} or none", names()))?;
    }
    Ok(Some(values))
}

impl TryFrom<ReadDowntime> for Downtime {
    type Error = String;
    fn try_from(read: ReadDowntime) -> Result<Self, String> {
        let parts = all_or_none([
            ("pause_s", read.pause_s),
            ("harvest_s", read.harvest_s),
            ("transfer_s", read.transfer_s),
            ("switchover_s", read.switchover_s),
        ])?;
        Ok(Downtime {
            total_s: read.total_s,
            parts: parts.map(
                |[pause_s, harvest_s, transfer_s, switchover_s]| DowntimeParts {
                    pause_s,
                    harvest_s,
                    transfer_s,
                    switchover_s,
                },
            ),
        })
    }
}

impl TryFrom<ReadSource> for SourceCpu {
    type Error = String;
    fn try_from(read: ReadSource) -> Result<Self, String> {
        let stages = all_or_none([
            ("prepare_s", read.prepare_s),
            ("seal_s", read.seal_s),
            ("transmit_s", read.transmit_s),
            ("other_s", read.other_s),
        ])?;
        let compress_s = read.compress_s;
        let stages = beside(stages, ("compress_s", compress_s))?;
        Ok(SourceCpu {
            total_s: read.total_s,
            vcpu_s: read.vcpu_s,
            tunnel_s: read.tunnel_s,
            stages: stages.map(|[prepare_s, seal_s, transmit_s, other_s]| SourceStages {
                prepare_s,
                compress_s,
                seal_s,
                transmit_s,
                other_s,
            }),
            sampling: read.sampling,
        })
    }
}

impl TryFrom<ReadDestination> for DestinationCpu {
    type Error = String;
    fn try_from(read: ReadDestination) -> Result<Self, String> {
        let stages = all_or_none([
            ("receive_s", read.receive_s),
            ("open_s", read.open_s),
            ("apply_s", read.apply_s),
            ("other_s", read.other_s),
        ])?;
        let decompress_s = read.decompress_s;
        let stages = beside(stages, ("decompress_s", decompress_s))?;
        Ok(DestinationCpu {
            total_s: read.total_s,
            tunnel_s: read.tunnel_s,
            stages: stages.map(|[receive_s, open_s, apply_s, other_s]| DestinationStages {
                receive_s,
                open_s,
                decompress_s,
                apply_s,
                other_s,
            }),
            sampling: read.sampling,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_there_or_none_is() {
        let read = |text: &str| serde_json::from_str::<SourceCpu>(text);
        let none = read(r#"{"total_s": 2, "vcpu_s": 0}"#).unwrap();
        assert_eq!((none.total_s, none.stages), (2.0, None));
        let all = r#"{"total_s": 2, "vcpu_s": 0, "prepare_s": 1, "seal_s": 1, "transmit_s": 0, "other_s": 0}"#;
        assert_eq!(read(all).unwrap().stages.unwrap().sum_s(), 2.0);
        for (from, to, part) in [
            (
                "\"seal_s\": 1, ",
                "",
                "missing field `seal_s`: must be all of prepare_s, seal_s, transmit_s, other_s",
            ),
            (
                "\"seal_s\": 1",
                "\"seal_s\": null",
                "missing field `seal_s`",
            ),
            ("\"seal_s\": 1", "\"seal_s\": \"1\"", "invalid type: string"),
        ] {
            let error = read(&all.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let downtime = serde_json::from_str::<Downtime>;
        let old =
            r#"{"total_s": 1, "pause_s": 0, "harvest_s": 0, "transfer_s": 0, "takeover_s": 1}"#;
        assert_eq!(downtime(old).unwrap().parts.unwrap().switchover_s, 1.0);
        assert!(downtime(r#"{"total_s": 1, "pause_s": 0}"#).is_err());
        let destination = serde_json::from_str::<DestinationCpu>;
        assert!(destination(r#"{"total_s": 1, "open_s": 0}"#).is_err());
        assert!(destination(r#"{"total_s": 1, "decompress_s": 0}"#).is_err());
        assert_eq!(destination(r#"{"total_s": 1}"#).unwrap().stages, None);
    }
}
