//! What the migrations of arms that go through TLS or a tunnel tell, and what they don't.

use crate::arm::Arm;
use crate::results::{ChannelInfo, Migration};

/// A migration as its hosts would tell it.
pub(super) fn as_told(arm: Arm, mut migration: Migration) -> Migration {
    migration.channel = Some(ChannelInfo {
        protocol: "TLSv1.3".to_owned(),
        cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
        handshake_s: 0.002,
    });
    let (source, destination) = (&mut migration.cpu.source, &mut migration.cpu.destination);
    if arm.is_tunnel() {
        source.tunnel_s = Some(source.total_s / 2.0);
        destination.tunnel_s = Some(destination.total_s / 2.0);
    }
    if !arm.has_stages() {
        (source.stages, destination.stages) = (None, None);
    }
    migration
}
