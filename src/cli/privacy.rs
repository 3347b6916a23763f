//! `privacy erase`: destroys what makes a person's sealed data readable, and records that.

use crate::event::{
    Digest,
    proto::{
        DataSubject, EraseSubjectRequest, Person,
        custodian_service_client::CustodianServiceClient as Custodian, data_subject::By,
    },
};

use super::{
    act::ActArgs,
    output::{Exit, Failure, Format, Result, say},
    submit::request,
};

/// Personal data: erase a person.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Destroy a person's subject record: names, answers, assertions and free text become unreadable for good
    #[command(
        after_help = "Example:\n  promotion-ledger privacy erase --subject-issuer https://idp.example.bank --subject u-1042 --reason \"request under Art. 17 GDPR\" --approved-by-issuer https://idp.example.bank --approved-by-subject u-3002 --yes\n\nTwo people must agree, neither of them the one who is erased, and no legal hold may cover that person. The act\nis an entry. Chain, signatures, commitments and every other claim verify as before; `show` says when and by whom\nthe person was erased. There is no way back."
    )]
    Erase {
        #[command(flatten)]
        subject: SubjectArgs,
        /// Issuer of the second person, who agrees
        #[arg(long)]
        approved_by_issuer: String,
        /// That issuer's name for the second person
        #[arg(long)]
        approved_by_subject: String,
        /// The second person's name
        #[arg(long, default_value = "")]
        approved_by_name: String,
        /// Do it: without this, only say what would be done
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        act: ActArgs,
    },
}

/// A person, by pseudonym or by identity.
#[derive(Debug, Clone, clap::Args)]
pub struct SubjectArgs {
    /// The pseudonym that events show, 64 hexadecimal digits
    #[arg(long, value_name = "HEX", conflicts_with_all = ["subject_issuer", "subject"])]
    subject_id: Option<String>,
    /// OpenID Connect issuer of the person
    #[arg(long, value_name = "URI", requires = "subject")]
    subject_issuer: Option<String>,
    /// The issuer's name for that person
    #[arg(long, value_name = "NAME", requires = "subject_issuer")]
    subject: Option<String>,
}

impl SubjectArgs {
    /// Whom the arguments name, if anybody.
    ///
    /// # Errors
    /// Exit code 2 for a pseudonym that is none.
    pub fn given(&self) -> Result<Option<DataSubject>> {
        let by = match (&self.subject_id, &self.subject_issuer, &self.subject) {
            (Some(hex), ..) => {
                let id = Digest::from_hex(hex).ok_or_else(|| {
                    Failure::usage(format!("--subject-id {hex} is no pseudonym (64 hexadecimal digits)"))
                })?;
                By::SubjectId(id.0.to_vec())
            }
            (None, Some(issuer), Some(subject)) => {
                By::Person(Person { issuer: issuer.clone(), subject: subject.clone(), name: String::new() })
            }
            _ => return Ok(None),
        };
        Ok(Some(DataSubject { by: Some(by) }))
    }
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    let Command::Erase { subject, approved_by_issuer, approved_by_subject, approved_by_name, yes, act } =
        args.command;
    let subject = subject
        .given()?
        .ok_or_else(|| Failure::usage("name the person: --subject-id, or --subject-issuer and --subject"))?;
    if !yes {
        return Err(Failure::usage(
            "this destroys the person's names, answers, assertions and free text in every event, for good; say --yes to do it",
        ));
    }
    let asked = act.open().await?;
    let custodian = Custodian::new(asked.channel.clone());
    let approved_by =
        Person { issuer: approved_by_issuer, subject: approved_by_subject, name: approved_by_name };
    let call = || {
        let mut custodian = custodian.clone();
        let message = EraseSubjectRequest {
            subject: Some(subject.clone()),
            requested_by: asked.actor.clone(),
            approved_by: Some(approved_by.clone()),
            reason: asked.reason.clone(),
            request_id: asked.request_id.clone(),
        };
        async move { Ok(custodian.erase_subject(request(message)).await?.map(|answer| answer.receipt)) }
    };
    asked.send("erasure of a person", call, format).await?;
    if format == Format::Text {
        say!("  the subject record is destroyed; what events hold about that person cannot be read any more");
    }
    Ok(Exit::Ok)
}
