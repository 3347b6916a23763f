//! The digest that an OpenSSF model-signing statement names for a model of several files: SHA-256 over the files' SHA-256
//! digests, in the order of their paths, part by part. Pure.

use sha2::{Digest as _, Sha256};

use crate::event::Digest;

/// Written by the signer beside the model, and left out by it.
const SIGNATURE: &str = "model.sig";

/// The digest of a manifest over files: path and SHA-256 of each.
pub fn manifest(files: &[(String, Digest)]) -> Digest {
    let mut files: Vec<_> = files.iter().filter(|(path, _)| path != SIGNATURE).collect();
    // As paths are compared, not as text: `a/x` comes before `a-b/x`.
    files.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
    let mut hasher = Sha256::new();
    files.iter().for_each(|(_, digest)| hasher.update(digest.0));
    Digest(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::digest::sha256;

    /// Computed with `hashing.Config().hash` of model-signing 1.1, as its statement's subject.
    #[test]
    fn the_manifest_is_the_one_that_model_signing_names() {
        let files: [(&str, &[u8]); 5] = [
            ("a-b/x", b"2"),
            ("MLmodel", b"flavors: {}\n"),
            ("model.sig", b"a signature"),
            ("a/x", b"1"),
            ("model.pkl", &[7; 1_000]),
        ];
        let files = files.map(|(path, content)| (path.to_owned(), sha256(content)));
        assert_eq!(
            manifest(&files).to_string(),
            "3d73216a7a059dabe6c1ca31c37c9ccac6228f1ee2a8ee25b94d1b42aa8f2330"
        );
    }
}
