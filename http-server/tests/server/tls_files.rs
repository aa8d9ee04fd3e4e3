//! The files of a TLS server, and the messages about files that cannot be used.

use std::{fs, path::Path, time::SystemTime};

use http_server::{TlsFile, TlsFiles};

use super::certificates::{Authority, Issued};

fn files(directory: &Path) -> TlsFiles {
    TlsFiles { certificate: directory.join("a.pem"), key: directory.join("a.key"), client_ca: None }
}

#[test]
fn end_of_the_validity_is_read_and_an_expired_certificate_is_a_problem() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(&["localhost"]).write(directory.path(), "a");
    let validity = files(directory.path()).load().unwrap().validity;
    assert_eq!(validity.not_after.to_string(), "4096-01-01 00:00:00 UTC");
    assert_eq!(validity.problem_at(SystemTime::now()), None);

    authority.issue_expired().write(directory.path(), "a");
    let validity = files(directory.path()).load().unwrap().validity;
    assert_eq!(validity.problem_at(SystemTime::now()).unwrap(), "expired at 2002-01-01 00:00:00 UTC");
}

#[test]
fn certificate_and_key_may_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let Issued { certificate, key } = Authority::new().issue(&["localhost"]);
    let both = directory.path().join("both.pem");
    fs::write(&both, certificate + &key).unwrap();
    assert!(TlsFiles { certificate: both.clone(), key: both, client_ca: None }.load().is_ok());
}

#[test]
fn unusable_file_is_named_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let authority = Authority::new();
    authority.issue(&["localhost"]).write(directory.path(), "a");
    authority.issue(&["localhost"]).write(directory.path(), "other");
    fs::write(path("text"), "not PEM").unwrap();
    let certificate = fs::read_to_string(path("a.pem")).unwrap();
    fs::write(path("cut"), &certificate[..certificate.len() / 2]).unwrap();
    let valid = files(directory.path());
    for (files, file, reason) in [
        (TlsFiles { certificate: path("none"), ..valid.clone() }, TlsFile::Certificate, "cannot be read: No such file"),
        (TlsFiles { certificate: path("text"), ..valid.clone() }, TlsFile::Certificate, "has no certificate in PEM"),
        (TlsFiles { certificate: path("a.key"), ..valid.clone() }, TlsFile::Certificate, "has no certificate in PEM"),
        (TlsFiles { certificate: path("cut"), ..valid.clone() }, TlsFile::Certificate, "is not valid PEM"),
        (TlsFiles { key: path("none"), ..valid.clone() }, TlsFile::Key, "cannot be read"),
        (TlsFiles { key: path("a.pem"), ..valid.clone() }, TlsFile::Key, "has no private key in PEM"),
        (TlsFiles { key: path("other.key"), ..valid.clone() }, TlsFile::Key, "does not belong to the certificate in"),
        (TlsFiles { client_ca: Some(path("none")), ..valid.clone() }, TlsFile::Ca, "cannot be read"),
        (TlsFiles { client_ca: Some(path("text")), ..valid.clone() }, TlsFile::Ca, "has no certificate in PEM"),
    ] {
        let error = files.load().unwrap_err();
        assert_eq!(error.file, file, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}
