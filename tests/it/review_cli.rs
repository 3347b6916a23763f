//! Reviews from a terminal: sealed, shown, waited for; decided with a login in a browser, or in two calls.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Output, Stdio},
};

use promotion_ledger::event::{canonical, digest::sha256, proto::body::Event, review as decisions};
use serde_json::Value;

use crate::{
    click::{Bank, verifies_as_approval},
    harness::{binary, run},
    idp::Browser,
};

/// The credit example's first promotion for a region, without approvals, in time.
fn file(bank: &Bank, region: &str) -> PathBuf {
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/credit/2026-11-07");
    let written = fs::read_to_string(example.join("promotion.yaml")).expect("a promotion");
    let (before, rest) = written.split_once("\n# Field 4").expect("field four");
    let (_, after) = rest.split_once("\n# Field 5").expect("field five");
    let text = format!("{before}\n# Field 5{after}")
        .replace("region: eu-central", &format!("region: {region}"))
        .replace("due_at: 2026-11-10T17:00:00Z", "due_at: 2099-11-10T17:00:00Z")
        .replace("asked_groups: [model-risk-approvers]", "asked_groups: [model-risk]");
    // Its paths are relative to it.
    for entry in fs::read_dir(&example).expect("a directory") {
        let entry = entry.expect("an entry").path();
        let link = bank.dir.path().join(entry.file_name().expect("a name"));
        if entry.is_dir() && !link.exists() {
            std::os::unix::fs::symlink(&entry, &link).expect("a link");
        } else if entry.is_file() && !link.exists() && entry.extension().is_some_and(|it| it == "json") {
            fs::copy(&entry, &link).expect("a copy");
        }
    }
    let own = bank.dir.path().join(format!("{region}.yaml"));
    fs::write(&own, text).expect("written");
    own
}

fn command(bank: &Bank, args: &[&str]) -> Output {
    run(&[args, &["--url", &bank.node.url, "--format", "json"]].concat())
}

fn exit(output: &Output, code: i32) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{} {stderr}", String::from_utf8_lossy(&output.stdout));
    let stdout = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(stdout.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("{stdout} {stderr}"))
}

fn answers(bank: &Bank, review: &Value) -> String {
    let ids = review["questions"].as_array().into_iter().flatten().filter_map(|it| it["id"].as_str());
    let answers: serde_json::Map<_, _> = ids.map(|id| (id.to_owned(), "Yes.".into())).collect();
    let path = bank.dir.path().join("answers.json");
    fs::write(&path, Value::from(answers).to_string()).expect("written");
    path.display().to_string()
}

/// Runs a decision whose login comes by way of a browser on loopback; `who` sits at it.
async fn decided_in_browser(bank: &Bank, who: &str, args: &[&str]) -> Output {
    let mut command = binary();
    command.args(args).args(["--no-browser", "--url", &bank.node.url, "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        if stderr.read_line(&mut line).expect("a line") == 0 {
            break None;
        }
        said.push_str(&line);
        if line.trim().starts_with("http") {
            break Some(line.trim().to_owned());
        }
    };
    if let Some(address) = address {
        let port = address.split("redirect_uri=").nth(1).expect("a way back");
        assert!(port.starts_with("http%3A%2F%2F127.0.0.1%3A"), "{port}");
        Browser::of(who).open(&address).await.says(200, "Logged in. You can close this page");
    }
    let output = child.wait_with_output().expect("an end");
    stderr.read_to_string(&mut said).expect("its lines");
    Output { stderr: said.into_bytes(), ..output }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_waits_a_person_approves_from_a_terminal_and_the_pipeline_goes_on() {
    let bank = Bank::open().await;
    let file = file(&bank, "eu-central").display().to_string();
    let waiting = exit(&command(&bank, &["promote", "-f", &file, "--wait", "0"]), 5);
    assert_eq!(
        (waiting["awaiting_approval"].as_bool(), waiting["state"].as_str()),
        (Some(true), Some("open"))
    );
    let review = waiting["review"].as_u64().expect("a review").to_string();
    // Asked again, by the same file: the same review.
    assert_eq!(exit(&command(&bank, &["review", "seal", "-f", &file]), 0)["seq"].to_string(), review);
    assert_eq!(exit(&command(&bank, &["resume", &review]), 5)["review"], waiting["review"]);
    let listed = exit(&command(&bank, &["review", "list", "--pending"]), 0);
    assert_eq!(listed["review"], waiting["review"]);
    let shown = exit(&command(&bank, &["review", "show", &review]), 0);
    let people = run(&["review", "show", &review, "--url", &bank.node.url]);
    let people = String::from_utf8_lossy(&people.stdout).into_owned();
    assert!(people.contains("german-credit-pd 12") && people.contains("must be opened"), "{people}");

    // Every problem at once, before anybody logs in.
    let screen = bank.dir.path().join("screen");
    let dir = screen.display().to_string();
    let incomplete = command(
        &bank,
        &["approve", "--issuer", bank.idp.url(), "--review", &review, "--screen", &dir, "--no-browser"],
    );
    assert!(exit(&incomplete, 1)["problems"].as_array().is_some_and(|problems| !problems.is_empty()));
    let page = fs::read(screen.join("index.html")).expect("the page");
    assert_eq!(sha256(&page).to_string(), shown["screen_sha256"].as_str().expect("a digest"));

    let answers = answers(&bank, &shown);
    let approve =
        ["approve", "--issuer", bank.idp.url(), "--review", &review, "--answers", &answers, "--screen", &dir];
    let own = bank.dir.path().join("own.tlog-proof");
    let with_receipt = [&approve[..], &["--receipt", own.to_str().expect("a path")]].concat();
    let recorded = exit(&decided_in_browser(&bank, "ada", &with_receipt).await, 0);
    let key = bank.client.status().await.log_vkey;
    verifies_as_approval(&own, &key, recorded["seq"].as_u64().expect("an entry"));
    assert!(
        recorded["review_now"].as_str().is_some_and(|now| now.starts_with("promoted by entry")),
        "{recorded}"
    );
    let receipt = bank.dir.path().join("receipt.txt").display().to_string();
    let done = exit(&command(&bank, &["resume", &review, "--receipt", &receipt]), 0);
    assert!(fs::read_to_string(&receipt).expect("a receipt").contains("tlog-proof"));
    assert_eq!(exit(&command(&bank, &["show", &done["seq"].to_string()]), 0)["header"]["kind"], "promoted");
    // Who comes late hears it, before any login.
    let late = exit(&command(&bank, &approve), 1);
    assert!(late["error"].as_str().is_some_and(|why| why.contains("approved and recorded")), "{late}");
    bank.client.check().await;
    bank.node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_tool_takes_two_calls_and_reviews_end_with_their_exit_codes() {
    let bank = Bank::open().await;
    let file = file(&bank, "us-east").display().to_string();
    let review = exit(&command(&bank, &["review", "seal", "-f", &file]), 0)["seq"].to_string();
    let dir = bank.dir.path().join("screen").display().to_string();
    let decline = ["--review", &review, "--reason", "Not shown for the young.", "--screen", &dir];
    let frozen = exit(&command(&bank, &[&["decline", "--freeze-only"], &decline[..]].concat()), 5);
    let nonce = frozen["nonce"].as_str().expect("a nonce").to_owned();
    assert_eq!(frozen["decision"], "decline");
    let token = bank.dir.path().join("token.jwt");
    fs::write(&token, bank.idp.id_token("ada", "another")).expect("written");
    let token = token.display().to_string();
    let submit = ["decline", "--nonce", &nonce, "--id-token-file", &token];
    assert!(exit(&command(&bank, &submit), 1)["error"].as_str().is_some_and(|why| why.contains("nonce")));
    // A nonce that begins with a hyphen is a nonce, no option: this one was never frozen.
    let unknown = command(&bank, &["decline", "--nonce", "-psBZRLd2oI", "--id-token-file", &token]);
    assert_ne!(unknown.status.code(), Some(2), "{}", String::from_utf8_lossy(&unknown.stderr));
    fs::write(&token, bank.idp.id_token("ada", &nonce)).expect("written");
    let recorded = exit(&command(&bank, &submit), 0);
    assert_eq!(exit(&command(&bank, &submit), 0)["seq"], recorded["seq"], "the same again is the same entry");
    assert!(
        exit(&command(&bank, &["resume", &review]), 1)["error"]
            .as_str()
            .is_some_and(|why| why.contains("ended"))
    );

    // The next round: a condition, then withdrawn by who asked for it, and by nobody else.
    let second = exit(&command(&bank, &["review", "seal", "-f", &file]), 0)["seq"].to_string();
    assert_ne!(second, review);
    let shown = exit(&command(&bank, &["review", "show", &second]), 0);
    let answers = answers(&bank, &shown);
    let condition = "title=Calibration by age band;owner=u-1001;due=2099-01-31;slice=age_band";
    let conditional = [
        "approve",
        "--issuer",
        bank.idp.url(),
        "--review",
        &second,
        "--answers",
        &answers,
        "--condition",
        condition,
        "--screen",
        &dir,
        "--freeze-only",
    ];
    assert_eq!(exit(&command(&bank, &conditional), 5)["decision"], "approve with conditions");
    let withdraw = |subject: &str| {
        command(
            &bank,
            &[
                "review",
                "withdraw",
                &second,
                "--actor-issuer",
                "http://127.0.0.1:7421/development",
                "--actor-subject",
                subject,
                "--reason",
                "Not yet.",
            ],
        )
    };
    exit(&withdraw("u-9"), 1);
    exit(&withdraw("u-1001"), 0);
    assert_eq!(exit(&command(&bank, &["review", "show", &second]), 0)["state"], "ended");
    bank.client.check().await;
    bank.node.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegate_approves_for_somebody_and_only_another_one_than_its_owner_closes_the_condition() {
    let bank = Bank::open().await;
    let file = file(&bank, "eu-west").display().to_string();
    let idp = bank.idp.url().to_owned();
    let review = exit(&command(&bank, &["review", "seal", "-f", &file]), 0)["seq"].to_string();
    let shown = exit(&command(&bank, &["review", "show", &review]), 0);
    let answers = answers(&bank, &shown);
    let act = |who: &str, args: &[&str]| {
        let token = bank.dir.path().join(format!("{who}.jwt"));
        fs::write(&token, bank.idp.access_token(who)).expect("written");
        command(&bank, &[args, &["--token-file", &token.display().to_string()]].concat())
    };
    let delegate = |to: &str, request: &str| {
        let (of, from) = ("--delegate-subject", "2026-01-01");
        let args =
            ["delegate", "--delegate-issuer", &idp, of, "ben", "--group", "model-risk", "--from", from];
        act("ada", &[&args[..], &["--to", to, "--reason", "On leave.", "--request-id", request]].concat())
    };
    let over = exit(&delegate("2026-01-31", "over"), 2);
    assert!(over["error"].as_str().is_some_and(|why| why.contains("over already")), "{over}");
    let delegated = exit(&delegate("2099-01-06", "leave"), 0);
    assert_eq!(exit(&delegate("2099-01-06", "leave"), 0)["seq"], delegated["seq"], "the same again");
    let delegation = delegated["seq"].to_string();

    // Somebody else than the delegate does not decide under it; the delegate does, for the one who delegated.
    let dir = bank.dir.path().join("screen").display().to_string();
    let condition = "title=Calibration by age band;owner=carl;due=2099-01-31;evidence=calibration";
    let approve = ["approve", "--issuer", &idp, "--review", &review, "--answers", &answers, "--screen", &dir];
    let approve = [&approve[..], &["--delegation", &delegation, "--condition", condition]].concat();
    let stranger = exit(&decided_in_browser(&bank, "eve", &approve).await, 1);
    assert!(stranger["error"].as_str().is_some_and(|why| why.contains("is for somebody else")), "{stranger}");
    let approved = exit(&decided_in_browser(&bank, "ben", &approve).await, 0)["seq"].clone();
    let entries = bank.client.entries().await;
    let at = usize::try_from(approved.as_u64().expect("a number")).expect("small");
    let Some(Event::Approved(decision)) =
        canonical::decode(&entries[at].record).expect("a record").body.event
    else {
        panic!("entry {at} is no approval")
    };
    let statement = decisions::statement(&decision).expect("a statement");
    assert_eq!(statement.delegation_seq, delegated["seq"].as_u64());

    // It is closed by somebody else than its owner, once.
    let met = bank.dir.path().join("calibration.json");
    fs::write(&met, br#"{"age_band": {"18-25": 0.02}}"#).expect("written");
    let met = met.display().to_string();
    let approved = approved.to_string();
    let close = |who: &str, further: &[&str]| {
        let args =
            ["close-condition", &approved, "c1", "--media-type", "application/json", "--reason", "Done."];
        act(who, &[&args[..], further].concat())
    };
    let own = exit(&close("carl", &["--file", &met]), 1);
    assert!(own["error"].as_str().is_some_and(|why| why.contains("owner of this condition")), "{own}");
    let wrong = exit(&close("ben", &["--sha256", "5f3a"]), 2);
    assert!(wrong["error"].as_str().is_some_and(|why| why.contains("--sha256")), "{wrong}");
    let digest = sha256(&fs::read(&met).expect("bytes")).to_string();
    let closed = exit(&close("ben", &["--sha256", &digest, "--request-id", "c"]), 0);
    assert_eq!(exit(&close("ben", &["--sha256", &digest, "--request-id", "c"]), 0)["seq"], closed["seq"]);
    let again = exit(&close("ben", &["--file", &met]), 1);
    assert!(again["error"].as_str().is_some_and(|why| why.contains("already records")), "{again}");
    assert_eq!(
        exit(&command(&bank, &["show", &closed["seq"].to_string()]), 0)["header"]["kind"],
        "condition_closed"
    );
    // Back early: one of the two ends it, once, and nothing is decided under it any more.
    let end = |who: &str, request: &str| {
        act(who, &["delegate", "--end", &delegation, "--reason", "Back.", "--request-id", request])
    };
    let third = exit(&end("carl", "third"), 1);
    assert!(third["error"].as_str().is_some_and(|why| why.contains("neither delegator nor")), "{third}");
    let ended = exit(&end("ada", "back"), 0);
    assert_eq!(exit(&end("ada", "back"), 0)["seq"], ended["seq"], "the same again");
    let twice = exit(&end("ben", "twice"), 1);
    let says = format!("was ended by entry {} already", ended["seq"]);
    assert!(twice["error"].as_str().is_some_and(|why| why.contains(&says)), "{twice}");
    let both = act("ada", &["delegate", "--end", &delegation, "--group", "model-risk", "--reason", "Back."]);
    assert_eq!(both.status.code(), Some(2), "{both:?}");
    let none = exit(&act("ada", &["delegate", "--end", "0", "--reason", "Back."]), 1);
    assert!(none["error"].as_str().is_some_and(|why| why.contains("is no delegation")), "{none}");
    let next = self::file(&bank, "us-east").display().to_string();
    let next = exit(&command(&bank, &["review", "seal", "-f", &next]), 0)["seq"].to_string();
    let shown = exit(&command(&bank, &["review", "show", &next]), 0);
    let answers = self::answers(&bank, &shown);
    let dir = bank.dir.path().join("next").display().to_string();
    let approve = ["approve", "--issuer", &idp, "--review", &next, "--answers", &answers, "--screen", &dir];
    let late = [&approve[..], &["--delegation", &delegation]].concat();
    let late = exit(&decided_in_browser(&bank, "ben", &late).await, 1);
    let says = format!("was ended by entry {}", ended["seq"]);
    assert!(late["error"].as_str().is_some_and(|why| why.contains(&says)), "{late}");
    exit(&decided_in_browser(&bank, "ben", &approve).await, 0);
    for name in ["delegate", "close-condition"] {
        let help = run(&[name, "--help"]);
        assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"), "{help:?}");
        let completions = run(&["completions", "bash"]);
        assert!(String::from_utf8_lossy(&completions.stdout).contains(name), "{name}");
    }
    bank.client.check().await;
    bank.node.stop();
}
