//! Certificates and keys in files (PEM, RFC 7468). Each error is one line with the flag and the file.

use std::{path::Path, sync::Arc};

use hyperfake_predictor::{Error, Result, file};
use rustls::{
    CertificateError, InconsistentKeys, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    pki_types::{
        CertificateDer, PrivateKeyDer, UnixTime,
        pem::{self, PemObject},
    },
    server::ParsedCertificate,
    sign::CertifiedKey,
};

use super::provider;

/// The largest file that is read, in bytes: 1 MiB. All authorities of an operating system take 220 kB.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A file, and the flag that named it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) flag: &'static str,
    pub(super) path: &'a Path,
}

impl Named<'_> {
    fn read(self) -> Result<Vec<u8>> {
        file::read(self.path, MAX_FILE_BYTES).map_err(|error| error.at(self.flag))
    }

    fn error(self, message: impl Into<String>) -> Error {
        Error::invalid(message).at(self.path.display()).at(self.flag)
    }
}

/// A certificate with those that lead to its authority, and its key. The certificate must be valid now,
/// and the key must be its own.
pub(super) fn identity(cert: Named<'_>, key: Named<'_>) -> Result<Arc<CertifiedKey>> {
    let chain = certificates(cert)?;
    check_dates(&chain).map_err(|reason| cert.error(reason))?;
    let private = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            key.error("found no private key without a password, expected 'BEGIN PRIVATE KEY'")
        }
        other => key.error(format!("not PEM: {other}")),
    })?;
    let identity = CertifiedKey::from_der(chain, private, &provider());
    identity.map(Arc::new).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => key.error(format!(
            "not the key of the certificate in {}; expected the two to belong together",
            cert.path.display()
        )),
        rustls::Error::InvalidCertificate(error) => {
            cert.error(format!("not a certificate that can be used: {error}"))
        }
        other => key.error(format!("not a key that can be used: {other}")),
    })
}

/// Authorities whose certificates are believed.
pub(super) fn authorities(file: Named<'_>) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        let added = roots.add(certificate);
        added.map_err(|error| file.error(format!("not an authority's certificate: {error}")))?;
    }
    Ok(Arc::new(roots))
}

/// At least one.
fn certificates(file: Named<'_>) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = file.read()?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| file.error(format!("not PEM: {error}")))?;
    match found.is_empty() {
        true => Err(file.error("found no certificate, expected 'BEGIN CERTIFICATE'")),
        false => Ok(found),
    }
}

/// Verifies a certificate without any authority, for its dates alone: they are looked at before the
/// authority is, and whether others believe it is for them to say.
fn check_dates(chain: &[CertificateDer<'_>]) -> Result<(), String> {
    let Some(certificate) = chain.first() else { return Ok(()) };
    let algorithms = provider().signature_verification_algorithms.all;
    let (none, now) = (RootCertStore::empty(), UnixTime::now());
    let verified = ParsedCertificate::try_from(certificate).and_then(|parsed| {
        verify_server_cert_signed_by_trust_anchor(&parsed, &none, &[], now, algorithms)
    });
    match verified {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => Err(format!("the certificate has expired: it was valid until {}", date(not_after))),
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before,
            ..
        })) => {
            Err(format!("the certificate is not valid yet: it will be from {}", date(not_before)))
        }
        _ => Ok(()),
    }
}

fn date(time: UnixTime) -> String {
    let since_epoch = std::time::Duration::from_secs(time.as_secs());
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_epoch)
}
