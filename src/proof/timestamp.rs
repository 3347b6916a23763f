//! Time-stamps (RFC 3161): an authority that knows nothing of ledgers signs that a checkpoint existed at a time.
//!
//! What is stamped is the SHA-256 of a checkpoint, the whole note as it was signed. A stamp is verified offline with the
//! certificate of the authority's root alone: everything else is in the answer.

use cms::{
    cert::CertificateChoices,
    content_info::{CmsVersion, ContentInfo},
    signed_data::{SignedData, SignerIdentifier, SignerInfo},
};
use der::{
    Decode, Encode, Reader as _, SliceReader, Tag, Tagged as _,
    asn1::{AnyRef, Int, ObjectIdentifier, OctetStringRef},
};
use rustls_pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime, pem::PemObject as _,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, KeyUsage, ring as algorithms};

use crate::event::{Digest, Micros, digest::sha256};

/// Longest answer that is read, bytes.
pub const ANSWER_LEN_MAX: usize = 64 * 1024;
/// Media types of request and answer.
pub const REQUEST_TYPE: &str = "application/timestamp-query";
/// Of the answer.
pub const ANSWER_TYPE: &str = "application/timestamp-reply";

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// RSA (bare, and with SHA-256, 384, 512), ECDSA with SHA-256 and 384, Ed25519.
const SIGNATURES: [ObjectIdentifier; 7] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
    ObjectIdentifier::new_unwrap("1.3.101.112"),
];
/// 1.3.6.1.5.5.7.3.8: what a certificate of an authority is for.
const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];
/// SEQUENCE {1, {{sha256, NULL}, OCTET STRING of 32 bytes}, certReq TRUE}, up to the 32 bytes.
const REQUEST: [u8; 24] =
    [0x30, 0x39, 2, 1, 1, 0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ED25519,
];

/// Why a stamp does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the answer of an authority, or one that cannot be read.
    #[error("it is no time-stamp that can be read: {0}")]
    Format(String),
    /// The authority refused.
    #[error("the authority refused, with the status {0}")]
    Refused(u8),
    /// It is about something else.
    #[error("it is for the SHA-256 {found}, not for this checkpoint's, {expected}")]
    Imprint {
        /// In the stamp.
        found: String,
        /// Of the checkpoint.
        expected: Digest,
    },
    /// A signature, or the way to the root, does not hold.
    #[error("{0}")]
    Signature(String),
    /// Not a certificate in PEM.
    #[error("the authority's root is no certificate in PEM: {0}")]
    Root(String),
}

fn format(error: impl ToString) -> Error {
    Error::Format(error.to_string())
}

/// What an authority is asked: to stamp a checkpoint, and to send its certificate along.
pub fn request(note: &str) -> Vec<u8> {
    [&REQUEST[..], &sha256(note.as_bytes()).0, &[1, 1, 0xff]].concat()
}

/// The root that an authority's certificate leads to.
#[derive(Debug, Clone)]
pub struct Root(CertificateDer<'static>);

impl Root {
    /// Reads a certificate in PEM.
    ///
    /// # Errors
    /// [`Error::Root`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let certificate =
            CertificateDer::from_pem_slice(pem).map_err(|error| Error::Root(error.to_string()))?;
        webpki::anchor_from_trusted_cert(&certificate).map_err(|error| Error::Root(error.to_string()))?;
        Ok(Self(certificate.into_owned()))
    }

    fn anchor(&self) -> Result<TrustAnchor<'_>, Error> {
        webpki::anchor_from_trusted_cert(&self.0).map_err(|error| Error::Root(error.to_string()))
    }
}

/// When a checkpoint existed at the latest, by an authority's answer.
///
/// # Errors
/// [`Error`].
pub fn verify(answer: &[u8], note: &str, root: &Root) -> Result<Micros, Error> {
    let data = signed_data(answer)?;
    let content = data.encap_content_info.econtent.as_ref();
    let content = content.filter(|_| data.encap_content_info.econtent_type == TST_INFO);
    let content = content.ok_or_else(|| format("it holds no TSTInfo"))?;
    let info = content.decode_as::<OctetStringRef<'_>>().map_err(format)?.as_bytes();
    let stamped = TstInfo::read(info)?;
    let expected = sha256(note.as_bytes());
    if stamped.algorithm != SHA_256 || stamped.imprint != expected.0 {
        return Err(Error::Imprint { found: hex::encode(stamped.imprint), expected });
    }
    let [signer] = data.signer_infos.0.as_slice() else {
        return Err(format("it has not exactly one signature"));
    };
    named_algorithms(&data, signer)?;
    let certificates = certificates(&data)?;
    let own = certificates.iter().find(|(certificate, _)| is_of(signer, certificate));
    let (_, own) = own.ok_or_else(|| format("the signer's certificate is not in it"))?;
    signature(signer, info, own)?;
    leads_to(own, &certificates, root, stamped.time)?;
    Ok(stamped.time)
}

/// The signed data in an answer that grants.
fn signed_data(answer: &[u8]) -> Result<SignedData, Error> {
    if answer.len() > ANSWER_LEN_MAX {
        return Err(format("it is longer than 64 KiB"));
    }
    let mut reader = SliceReader::new(answer).map_err(format)?;
    let (status, token) = reader
        .sequence(|reader| {
            let status = reader.sequence(|reader| {
                let status = u8::decode(reader)?;
                while !reader.is_finished() {
                    AnyRef::decode(reader)?;
                }
                Ok(status)
            })?;
            let token = if reader.is_finished() { None } else { Some(ContentInfo::decode(reader)?) };
            Ok((status, token))
        })
        .map_err(format)?;
    reader.finish(()).map_err(format)?;
    if status > 1 {
        return Err(Error::Refused(status));
    }
    let token = token.filter(|token| token.content_type == SIGNED_DATA);
    token.ok_or_else(|| format("it holds no signed data"))?.content.decode_as().map_err(format)
}

/// What was stamped, and when.
struct TstInfo<'a> {
    algorithm: ObjectIdentifier,
    imprint: &'a [u8],
    time: Micros,
}

impl<'a> TstInfo<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = SliceReader::new(bytes).map_err(format)?;
        let read = |reader: &mut der::NestedReader<'_, SliceReader<'a>>| {
            let version = u8::decode(reader)?;
            let _policy = ObjectIdentifier::decode(reader)?;
            let (algorithm, imprint) = reader.sequence(|reader| {
                let algorithm = reader.sequence(|reader| {
                    let algorithm = ObjectIdentifier::decode(reader)?;
                    while !reader.is_finished() {
                        AnyRef::decode(reader)?;
                    }
                    Ok(algorithm)
                })?;
                Ok((algorithm, OctetStringRef::decode(reader)?.as_bytes()))
            })?;
            let _serial = Int::decode(reader)?;
            let time = AnyRef::decode(reader)?;
            while !reader.is_finished() {
                AnyRef::decode(reader)?;
            }
            Ok((version, algorithm, imprint, time))
        };
        let (version, algorithm, imprint, time) = reader.sequence(read).map_err(format)?;
        reader.finish(()).map_err(format)?;
        let time = (time.tag() == Tag::GeneralizedTime).then(|| generalized(time.value())).flatten();
        match time.filter(|_| version == 1) {
            Some(time) => Ok(Self { algorithm, imprint, time }),
            None => Err(format("its version or time is none that is known")),
        }
    }
}

/// `YYYYMMDDhhmmss[.fraction]Z`.
fn generalized(text: &[u8]) -> Option<Micros> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.len() != 14 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| whole.get(from..to)?.parse::<i16>().ok();
    let small = |from: usize| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
    let date = jiff::civil::Date::new(number(0, 4)?, small(4)?, small(6)?).ok()?;
    let time = jiff::civil::Time::new(small(8)?, small(10)?, small(12)?.min(59), 0).ok()?;
    let seconds = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    // Later than it says would be wrong, earlier would be too: digits behind the sixth are dropped.
    let micros = format!("{fraction:0<6}").get(..6)?.parse::<u64>().ok()?;
    u64::try_from(seconds).ok()?.checked_mul(1_000_000)?.checked_add(micros)
}

/// What the signed data says of itself, outside what is signed.
fn named_algorithms(data: &SignedData, signer: &SignerInfo) -> Result<(), Error> {
    let digests = data.digest_algorithms.iter().any(|digest| digest.oid == signer.digest_alg.oid);
    let versions = data.version == CmsVersion::V3 && signer.version == CmsVersion::V1;
    if digests && versions && SIGNATURES.contains(&signer.signature_algorithm.oid) {
        Ok(())
    } else {
        Err(format("its versions or algorithms are none that are known"))
    }
}

type Certificate = (cms::cert::x509::Certificate, Vec<u8>);

fn certificates(data: &SignedData) -> Result<Vec<Certificate>, Error> {
    let all = data.certificates.iter().flat_map(|set| set.0.iter());
    let mut found = Vec::new();
    for choice in all {
        if let CertificateChoices::Certificate(certificate) = choice {
            found.push((certificate.clone(), certificate.to_der().map_err(format)?));
        }
    }
    Ok(found)
}

fn is_of(signer: &SignerInfo, certificate: &cms::cert::x509::Certificate) -> bool {
    match &signer.sid {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            let own = &certificate.tbs_certificate;
            own.issuer == id.issuer && own.serial_number == id.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(_) => false,
    }
}

/// The signature over the attributes, which commit to content and certificate.
fn signature(signer: &SignerInfo, info: &[u8], certificate: &[u8]) -> Result<(), Error> {
    let attributes = signer.signed_attrs.as_ref().ok_or_else(|| format("it has no signed attributes"))?;
    let value = |wanted: ObjectIdentifier| {
        let attribute = attributes.iter().find(|attribute| attribute.oid == wanted)?;
        attribute.values.iter().next()
    };
    let content = value(CONTENT_TYPE).and_then(|value| value.decode_as::<ObjectIdentifier>().ok());
    let digest = value(MESSAGE_DIGEST).and_then(|value| value.decode_as::<OctetStringRef<'_>>().ok());
    let expected = match signer.digest_alg.oid {
        SHA_256 => Sha256::digest(info).to_vec(),
        SHA_384 => Sha384::digest(info).to_vec(),
        SHA_512 => Sha512::digest(info).to_vec(),
        other => return Err(format(format!("it is hashed with {other}"))),
    };
    if content != Some(TST_INFO) || digest.is_none_or(|digest| digest.as_bytes() != expected) {
        return Err(Error::Signature("its signed attributes are about something else".into()));
    }
    // Where it names its certificate by SHA-256, as RFC 5816 lets it, that must be this one.
    let named = value(SIGNING_CERTIFICATE_V2).and_then(|value| value.to_der().ok());
    let hash = Sha256::digest(certificate);
    if named.is_some_and(|named| !named.windows(hash.len()).any(|window| window == hash.as_slice())) {
        return Err(Error::Signature("it names another certificate than its signer's".into()));
    }
    let message = attributes.to_der().map_err(format)?;
    let certificate = CertificateDer::from(certificate);
    let certificate =
        EndEntityCert::try_from(&certificate).map_err(|error| Error::Signature(error.to_string()))?;
    let holds = |algorithm: &&dyn SignatureVerificationAlgorithm| {
        certificate.verify_signature(*algorithm, &message, signer.signature.as_bytes()).is_ok()
    };
    if ALGORITHMS.iter().any(holds) {
        Ok(())
    } else {
        Err(Error::Signature("its signature does not hold under its certificate".into()))
    }
}

/// The certificate was good for stamping at that time, under the root.
fn leads_to(own: &[u8], all: &[Certificate], root: &Root, time: Micros) -> Result<(), Error> {
    let own = CertificateDer::from(own);
    let between: Vec<_> = all.iter().map(|(_, der)| CertificateDer::from(der.as_slice())).collect();
    let at = UnixTime::since_unix_epoch(core::time::Duration::from_micros(time));
    let certificate = EndEntityCert::try_from(&own).map_err(|error| Error::Signature(error.to_string()))?;
    let (anchors, usage) = ([root.anchor()?], KeyUsage::required(TIME_STAMPING));
    let path = certificate.verify_for_usage(ALGORITHMS, &anchors, &between, at, usage, None, None);
    path.map(|_| ()).map_err(|error| {
        Error::Signature(format!(
            "its certificate does not lead to the given root for time-stamping: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_to_the_microsecond() {
        let second = 1_700_000_000_000_000;
        assert_eq!(generalized(b"20231114221320Z"), Some(second));
        assert_eq!(generalized(b"20231114221320.5Z"), Some(second + 500_000));
        assert_eq!(generalized(b"20231114221320.1234567Z"), Some(second + 123_456));
        for bad in [
            "20231114221320",
            "20231114251320Z",
            "20231114226020Z",
            "2023111422132Z",
            "20231314221320Z",
            "20231114221320,5Z",
            "20231114221320.xZ",
            "",
        ] {
            assert_eq!(generalized(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_request_is_der() {
        let request = request("note");
        let mut reader = SliceReader::new(&request).unwrap();
        AnyRef::decode(&mut reader).unwrap();
        assert!(reader.is_finished() && request.len() == 59);
    }

    proptest! {
        #[test]
        fn arbitrary_answers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(signed_data(&bytes).is_err());
            let _ = TstInfo::read(&bytes);
            prop_assert!(Root::from_pem(&bytes).is_err());
        }
    }
}
