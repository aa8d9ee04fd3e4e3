//! Protection against server-side request forgery: which addresses a URL from a client or a provider may lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// A rule for the addresses that may be connected to.
#[derive(Debug, Clone, Copy)]
pub struct AddressPolicy {
    permitted: fn(IpAddr) -> bool,
    any_port: bool,
}

impl AddressPolicy {
    /// Public addresses, on the ports 80 and 443. For URLs in requests.
    pub const PUBLIC: Self = Self { permitted: is_public, any_port: false };

    /// Public addresses, on any port. For links in the responses of providers.
    pub const PUBLIC_ANY_PORT: Self = Self { permitted: is_public, any_port: true };

    /// All addresses. For operators who trust their clients and keep pictures in a private network.
    pub const OPEN: Self = Self { permitted: |_| true, any_port: true };

    /// Checks scheme and port, and the address if the URL contains one (`http://2130706433/` does). Resolved addresses must
    /// be checked with [`permits`](Self::permits); a resolver never sees an address that the URL contains.
    ///
    /// # Errors
    /// The reason, such as "has no host", in words that follow the name of the URL.
    pub fn check(self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err("must be an http or https URL".to_owned());
        }
        if !self.any_port && !matches!(url.port_or_known_default(), Some(80 | 443)) {
            return Err("must use port 80 or 443".to_owned());
        }
        let permitted = match url.host() {
            Some(Host::Ipv4(address)) => self.permits(address.into()),
            Some(Host::Ipv6(address)) => self.permits(address.into()),
            Some(Host::Domain(_)) => true,
            None => return Err("has no host".to_owned()),
        };
        if permitted { Ok(()) } else { Err(NOT_PUBLIC.to_owned()) }
    }

    /// Returns whether this address may be connected to.
    pub fn permits(self, address: IpAddr) -> bool {
        (self.permitted)(address)
    }

    /// Permits the addresses for which the function returns true, on any port.
    #[cfg(test)]
    pub(crate) fn only(permitted: fn(IpAddr) -> bool) -> Self {
        Self { permitted, any_port: true }
    }
}

/// The error message for an address that is not permitted; follows the name of the URL.
pub const NOT_PUBLIC: &str = "leads to an address that is not public";

/// Returns whether an address belongs to the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // This network, private networks, loopback.
    let private = matches!((a, b, c), (0 | 10 | 127, _, _) | (172, 16..=31, _) | (192, 168, _));
    // Carrier-grade NAT; link-local, where cloud providers serve credentials.
    let local = matches!((a, b, c), (100, 64..=127, _) | (169, 254, _));
    // Protocol assignments, documentation, 6to4 relays, benchmarks; multicast, reserved, broadcast.
    let special = matches!(
        (a, b, c),
        (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) | (198, 18..=19, _) | (224.., _, _)
    );
    !(private || local || special)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        // IPv4 in IPv6: mapped, translated (NAT64), tunnelled (6to4).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_public_v4(v4(high, low))
        }
        // Protocol assignments (Teredo among them) and documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Global unicast: all that has been allocated so far.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_outside_the_public_internet_are_not_public() {
        for address in
            ["1.1.1.1", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "223.255.255.1"]
        {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn address_in_a_url_is_checked_in_every_spelling() {
        for text in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "https://169.254.169.254/latest/meta-data",
            "http://0/",
            "http://127.0.0.1./",
        ] {
            assert_eq!(AddressPolicy::PUBLIC.check(&Url::parse(text).unwrap()), Err(NOT_PUBLIC.to_owned()), "{text}");
            assert_eq!(AddressPolicy::OPEN.check(&Url::parse(text).unwrap()), Ok(()), "{text}");
        }
        for text in [
            "ftp://example.com/",
            "file:///etc/passwd",
            "data:,a",
            "http://example.com:22/",
            "https://example.com:8443/",
        ] {
            assert!(AddressPolicy::PUBLIC.check(&Url::parse(text).unwrap()).is_err(), "{text}");
        }
        assert_eq!(AddressPolicy::PUBLIC.check(&Url::parse("https://example.com/a.png").unwrap()), Ok(()));
    }
}
