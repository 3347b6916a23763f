//! Credentials from a file that only its owner may read, in the format of AWS' shared credentials file.

use std::path::{Path, PathBuf};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use zeroize::Zeroizing;

use crate::keyfile;

/// Reads the file whenever the client asks, so that rotated credentials are found.
#[derive(Debug)]
pub struct CredentialsFile(PathBuf);

impl CredentialsFile {
    /// A file that can be used now.
    ///
    /// # Errors
    /// [`keyfile::Error`].
    pub fn open(path: &Path) -> Result<Self, keyfile::Error> {
        let file = Self(path.to_path_buf());
        file.read().map(|_| file)
    }

    fn read(&self) -> Result<Credentials, keyfile::Error> {
        let text = keyfile::secret_text(&self.0)?;
        let what = "aws_access_key_id and aws_secret_access_key, each as `name = value`";
        parse(&text).ok_or_else(|| keyfile::Error::Format(self.0.display().to_string(), what))
    }
}

/// Section names and comments are passed over: the file is for one purpose.
fn parse(text: &Zeroizing<String>) -> Option<Credentials> {
    let value = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let mut found = lines.filter(|(left, _)| left.trim() == name);
        found.next().map(|(_, right)| right.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let (id, secret) = (value("aws_access_key_id")?, value("aws_secret_access_key")?);
    Some(Credentials::new(id, secret, value("aws_session_token"), None, "credentials file"))
}

impl ProvideCredentials for CredentialsFile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.read().map_err(CredentialsError::provider_error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_the_shared_credentials_file_is_read_and_half_of_it_is_refused() {
        let text = "[default]\n# a comment\naws_access_key_id = AKIA\naws_secret_access_key=s3cr3t=\n";
        let parsed = parse(&Zeroizing::new(text.to_owned())).expect("credentials");
        assert_eq!((parsed.access_key_id(), parsed.secret_access_key()), ("AKIA", "s3cr3t="));
        assert_eq!(parsed.session_token(), None);
        for half in ["", "aws_access_key_id = AKIA", "aws_access_key_id =\naws_secret_access_key = x"] {
            assert!(parse(&Zeroizing::new(half.to_owned())).is_none(), "{half:?}");
        }
    }
}
