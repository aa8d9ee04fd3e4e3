//! Certificates for tests, made when a test runs.

#![allow(dead_code, reason = "several test executables include this file, and each needs a part of it")]
#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate in PEM.
    pub(crate) certificate: String,
}

/// A certificate and its key in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // Distinct by characters of the key (after the first line of its PEM), so that a certificate of another authority does not seem
        // to be issued by this one.
        let name = format!("authority {}", params.self_signed(&key).unwrap().pem().len());
        params.distinguished_name.push(DnType::CommonName, name + &key.serialize_pem()[30..60].replace('\n', ""));
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Issues a certificate for these host names and addresses, which is valid in the years from 1975 to 4095.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.sign(&CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap())
    }

    /// Issues a certificate for `localhost` that expired with the year 2001.
    pub(crate) fn issue_expired(&self) -> Issued {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn write(&self, directory: &Path, name: &str) {
        fs::write(directory.join(name).with_extension("pem"), &self.certificate).unwrap();
        fs::write(directory.join(name).with_extension("key"), &self.key).unwrap();
    }
}
