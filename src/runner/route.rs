//! How the source reaches the destination.

/// How the source reaches the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where the destination listens; port 0 for any.
    pub listen: String,
    /// Where the source connects, if not where the destination says that it listens. Without a
    /// port, the destination's own.
    pub connect: Option<String>,
}

impl Default for Route {
    /// Over loopback.
    fn default() -> Self {
        Route {
            listen: "127.0.0.1:0".to_owned(),
            connect: None,
        }
    }
}

impl Route {
    /// Where the source connects to a destination that listens at `listening`.
    pub(super) fn address(&self, listening: &str) -> String {
        match &self.connect {
            None => listening.to_owned(),
            Some(address) if has_port(address) => address.clone(),
            Some(host) => {
                let port = listening.rsplit(':').next().unwrap_or_default();
                format!("{host}:{port}")
            }
        }
    }
}

/// Whether an address ends in a port; an IPv6 address with one stands in brackets.
pub fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_connects_where_the_route_says() {
        for (connect, listening, address) in [
            (None, "127.0.0.1:5", "127.0.0.1:5"),
            (Some("10.0.0.2"), "0.0.0.0:77", "10.0.0.2:77"),
            (Some("10.0.0.2:9"), "0.0.0.0:77", "10.0.0.2:9"),
            (Some("[::1]"), "[::]:77", "[::1]:77"),
            (Some("[::1]:9"), "[::]:77", "[::1]:9"),
            (Some("far"), "0.0.0.0:77", "far:77"),
        ] {
            let route = Route {
                connect: connect.map(str::to_owned),
                ..Route::default()
            };
            assert_eq!(route.address(listening), address);
        }
    }
}
