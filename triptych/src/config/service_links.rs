//! Service links: the variables that Kubernetes and Docker add to every container for the other services.
//!
//! A service named `triptych` or `triptych-grpc` gets variables with the prefix of the settings, such as
//! `TRIPTYCH_PORT=tcp://10.0.0.1:8000`. Both the name and the value must have the form of a link, so that a misspelled
//! setting is still an error.

use std::net::IpAddr;

/// Returns whether this variable is a service link.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    if name.ends_with("_SERVICE_HOST") {
        return is_address(value);
    }
    // The name of a port may follow: TRIPTYCH_SERVICE_PORT_HTTP.
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return is_port(value);
    }
    if name.ends_with("_PORT") && is_url(value) {
        return true;
    }
    // TRIPTYCH_PORT_8000_TCP, and the same with _PROTO, _PORT and _ADDR.
    let parts: Vec<_> = name.rsplitn(4, '_').collect();
    let numbered = |protocol: &str, port: &str, before: &str| {
        is_protocol(&protocol.to_lowercase()) && is_port(port) && (before == "PORT" || before.ends_with("_PORT"))
    };
    match *parts {
        [protocol, port, "PORT", _] if numbered(protocol, port, "PORT") => is_url(value),
        [suffix, protocol, port, before] if numbered(protocol, port, before) => match suffix {
            "PROTO" => is_protocol(value),
            "PORT" => is_port(value),
            "ADDR" => is_address(value),
            _ => false,
        },
        _ => false,
    }
}

fn is_protocol(text: &str) -> bool {
    ["tcp", "udp", "sctp"].contains(&text)
}

/// Returns whether the text is an address such as `tcp://10.0.0.1:8000` or `tcp://[fd00::1]:8000`.
fn is_url(text: &str) -> bool {
    let address = text.split_once("://").filter(|(protocol, _)| is_protocol(protocol));
    address.and_then(|(_, address)| address.rsplit_once(':')).is_some_and(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse::<IpAddr>().is_ok() && port.parse::<u16>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::is_service_link;

    #[test]
    fn variables_of_services_are_recognized_by_name_and_value() {
        for service in ["TRIPTYCH", "TRIPTYCH_GRPC", "TRIPTYCH_REST", "TRIPTYCH_CHAT_MODEL_2"] {
            for (suffix, value) in [
                ("SERVICE_HOST", "10.0.0.1"),
                ("SERVICE_HOST", "fd00::1"),
                ("SERVICE_PORT", "8000"),
                ("SERVICE_PORT_HTTP", "8000"),
                ("SERVICE_PORT_GRPC_WEB", "8000"),
                ("PORT", "tcp://10.0.0.1:8000"),
                ("PORT", "udp://[fd00::1]:53"),
                ("PORT_8000_TCP", "tcp://10.0.0.1:8000"),
                ("PORT_8000_TCP_PROTO", "tcp"),
                ("PORT_8000_TCP_PORT", "8000"),
                ("PORT_8000_TCP_ADDR", "10.0.0.1"),
                ("PORT_53_UDP", "udp://10.0.0.1:53"),
                ("PORT_53_SCTP_ADDR", "fd00::1"),
            ] {
                let name = format!("{service}_{suffix}");
                assert!(is_service_link(&name, value), "{name}={value}");
            }
        }
    }

    #[test]
    fn other_variables_are_not_service_links() {
        for (name, value) in [
            ("TRIPTYCH_PORT", "8000"),
            ("TRIPTYCH_REST_PORT", "8000"),
            ("TRIPTYCH_REST_PORT", "http://10.0.0.1:8000"),
            ("TRIPTYCH_REST_PORT", "tcp://"),
            ("TRIPTYCH_REST_HOST", "10.0.0.1"),
            ("TRIPTYCH_SERVICE_HOST", "localhost"),
            ("TRIPTYCH_SERVICE_PORT", "many"),
            ("TRIPTYCH_PORT_8000_TCP", "8000"),
            ("TRIPTYCH_PORT_8000_TCP_NAME", "x"),
            ("TRIPTYCH_PORT_HTTP_TCP_PORT", "8000"),
            ("TRIPTYCH_CHAT_MODLE", "tcp://10.0.0.1:8000"),
            ("TRIPTYCH_IMAGE_SERVICE_TYP", "openai"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}
