//! What stands at a member's sockets, from its flags.

use quorate_server::Edge;

use super::settings::Settings;
use super::value;

/// The part of the configuration that is about sockets.
pub fn edge(settings: &Settings) -> Edge {
    let words = |name: &str| value::urls(settings.text(name)).map(str::to_owned).collect();
    Edge {
        listen_client_http_urls: settings.urls("listen-client-http-urls"),
        listen_metrics_urls: settings.urls("listen-metrics-urls"),
        extensive_metrics: settings.text("metrics") == "extensive",
        gateway: settings.is("enable-grpc-gateway"),
        cors: words("cors"),
        host_whitelist: words("host-whitelist"),
        max_connections: settings.size("max-connections"),
        max_half_open: settings.size("max-half-open-connections"),
        handshake_timeout: settings.time("handshake-timeout"),
        max_answer_bytes: settings.count("max-answer-bytes"),
    }
}
