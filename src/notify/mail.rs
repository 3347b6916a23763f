//! Delivery by mail: plain text, one message to everybody who is told.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor,
    message::{Mailbox, header},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls as Connection, TlsParameters},
    },
};

use super::{
    config::{Smtp, Tls},
    message::Message,
    worker::Fate,
};

const WITHIN: Duration = Duration::from_secs(20);

/// RFC 3834: no automatic answers to automatic mail.
#[derive(Clone)]
struct AutoSubmitted;

impl header::Header for AutoSubmitted {
    fn name() -> header::HeaderName {
        header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> header::HeaderValue {
        header::HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

/// A mail server, and who gets mail.
pub struct Postbox {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    smtp: Smtp,
    public_url: String,
}

impl Postbox {
    /// A mail server; `authority`: PEM of a certificate authority of one's own.
    ///
    /// # Errors
    /// In words, if the authority cannot be read.
    pub fn new(
        smtp: Smtp,
        password: Option<String>,
        public_url: &str,
        authority: Option<&[u8]>,
    ) -> Result<Self, String> {
        let parameters = || -> Result<TlsParameters, String> {
            let mut builder = TlsParameters::builder(smtp.host.clone());
            if let Some(pem) = authority {
                let authority = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
                builder = builder.add_root_certificate(authority);
            }
            builder.build().map_err(|error| error.to_string())
        };
        let connection = match smtp.tls {
            Tls::Starttls => Connection::Required(parameters()?),
            Tls::Tls => Connection::Wrapper(parameters()?),
            Tls::None => Connection::None,
        };
        // "Dangerous" is the connection in clear, which only loopback may have.
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
            .port(smtp.port)
            .tls(connection)
            .timeout(Some(WITHIN));
        if let Some(password) = password {
            builder = builder.credentials(Credentials::new(smtp.username.clone(), password));
        }
        Ok(Self { transport: builder.build(), smtp, public_url: public_url.to_owned() })
    }

    /// Everybody who gets a message: those who get all, and those of the groups that it asks.
    fn audience(&self, message: &Message) -> Vec<Mailbox> {
        let groups = message.told.groups.iter().filter_map(|group| self.smtp.groups.get(group)).flatten();
        let mut addresses: Vec<_> = self.smtp.to.iter().chain(groups).collect();
        addresses.sort();
        addresses.dedup();
        addresses.into_iter().filter_map(|address| address.parse().ok()).collect()
    }

    /// Sends a message.
    pub async fn deliver(&self, message: &Message) -> Fate {
        let mail = match self.mail(message) {
            Ok(Some(mail)) => mail,
            // Nobody is asked whom this server knows.
            Ok(None) => return Fate::Delivered,
            Err(error) => return Fate::Never(error),
        };
        match self.transport.send(mail).await {
            Ok(_) => Fate::Delivered,
            Err(error) if error.is_permanent() => Fate::Never(error.to_string()),
            Err(error) => Fate::Later(error.to_string()),
        }
    }

    fn mail(&self, message: &Message) -> Result<Option<Mail>, String> {
        let audience = self.audience(message);
        if audience.is_empty() {
            return Ok(None);
        }
        let from: Mailbox =
            self.smtp.from.parse().map_err(|error: lettre::address::AddressError| error.to_string())?;
        let mut text = format!("{}\n", message.told.title);
        if !message.told.text.is_empty() {
            text.push_str(&format!("\n{}\n", message.told.text));
        }
        if let Some(link) = message.absolute(&self.public_url) {
            text.push_str(&format!("\n{link}\n"));
        }
        let mut builder = Mail::builder()
            .message_id(Some(format!("<{}@{}>", message.id, from.email.domain())))
            .header(AutoSubmitted)
            .subject(&message.told.title)
            .from(from);
        for mailbox in audience {
            builder = builder.to(mailbox);
        }
        builder
            .header(header::ContentType::TEXT_PLAIN)
            .body(text)
            .map(Some)
            .map_err(|error| error.to_string())
    }
}
