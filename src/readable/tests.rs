use super::{active::What, *};

fn what(html: &str) -> Vec<What> {
    needs("text/html", html.as_bytes()).into_iter().map(|need| need.what).collect()
}

fn fragment(media_type: &str, text: &str) -> (String, bool) {
    match shown(media_type, text.as_bytes()) {
        Shown::Fragment { markup, whole } => (markup.into_string(), whole),
        other => panic!("{other:?}"),
    }
}

/// What a browser would run or fetch, written in every way that it accepts.
#[test]
fn whatever_needs_scripts_or_a_network_is_found() {
    use What::{Documents, Network, Redirect, Scripts};
    let table: &[(&str, &[What])] = &[
        ("<p>plain</p>", &[]),
        ("<script>draw()</script>", &[Scripts]),
        ("<SCRIPT SRC='https://cdn.example/x.js'></SCRIPT>", &[Scripts]),
        ("<script type=module>1</script>", &[Scripts]),
        ("<script type='application/json'>{\"a\":\"<script>\"}</script><p>", &[]),
        ("<script type='text/javascript;version=1.8'>1</script>", &[Scripts]),
        ("<img src=x.png onerror=alert(1)>", &[Scripts, Network]),
        ("<body onload=go()>", &[Scripts]),
        ("<a href='java\nscript:go()'>x</a>", &[Scripts]),
        ("<a href='https://example.org/'>a link is not fetched</a>", &[]),
        ("<img src='data:image/png;base64,AAAA'>", &[]),
        ("<img src='DATA:image/png;base64,AAAA'>", &[]),
        ("<img srcset='data:image/png;base64,AAAA 1x, https://e.example/a.png 2x'>", &[Network]),
        ("<link rel='preconnect stylesheet' href='//cdn.example/x.css'>", &[Network]),
        ("<link rel=icon href=/favicon.ico>", &[]),
        ("<style>@import 'x.css'; p{color:red}</style>", &[Network]),
        ("<style>p{background:URL( \"https://e.example/a.png\" )}</style>", &[Network]),
        ("<p style='background:url(a.png)'>", &[Network]),
        ("<style>p{background:url(data:image/png;base64,AA);filter:url(#f)}</style>", &[]),
        ("<iframe srcdoc='<p>x'></iframe>", &[Documents]),
        ("<object data=chart.swf></object>", &[Network, Documents]),
        ("<meta HTTP-EQUIV=Refresh content='0;url=https://e.example'>", &[Redirect]),
        ("<svg><script>1</script></svg>", &[Scripts]),
        ("<svg><use xlink:href='https://e.example/a.svg#x'/></svg>", &[Network]),
        ("<svg><style><img src=https://e.example/a.png></style></svg>", &[Network]),
        ("<!-- <script>1</script> --><p>", &[]),
        ("<textarea><script>1</script></textarea>", &[]),
        ("<title><script></title><script>1</script>", &[Scripts]),
        ("<style><script></style><p>", &[]),
        ("<p>an open <script", &[]),
        ("<plaintext><script>1</script>", &[]),
    ];
    for (html, expected) in table {
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(what(html), expected, "{html}");
    }
}

#[test]
fn a_drawing_is_active_content_too() {
    let drawing = |text: &str| -> Vec<What> {
        needs("image/svg+xml", text.as_bytes()).into_iter().map(|need| need.what).collect()
    };
    assert_eq!(drawing("<svg xmlns='http://www.w3.org/2000/svg'><rect width='3'/></svg>"), []);
    assert_eq!(drawing("<svg><script>1</script></svg>"), [What::Scripts]);
    assert_eq!(drawing("<svg onload='go()'/>"), [What::Scripts]);
    assert_eq!(drawing("<svg><image href='https://e.example/a.png'/></svg>"), [What::Network]);
    assert_eq!(drawing("<!DOCTYPE svg [<!ENTITY x '<script/>'>]><svg>&x;</svg>"), [What::Entities]);
    assert!(matches!(shown("image/svg+xml", b"<svg/>"), Shown::Picture));
}

/// The reports of the example are what approvers are to be given.
#[test]
fn reports_without_scripts_need_nothing() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/credit/2026-11-21");
    for report in ["comparison/report.html", "explanation/shap_report.html"] {
        let bytes = std::fs::read(root.join(report)).expect("an example");
        assert_eq!(needs("text/html", &bytes), [], "{report}");
        assert_eq!(problem("r", "text/html", &bytes, None), None);
    }
}

#[test]
fn a_report_that_needs_scripts_is_refused_with_how_to_make_a_static_one() {
    let report = b"<html>\n<div id=chart></div>\n<script src='https://cdn.plot.ly/plotly.js'></script>";
    let refused = problem("explanations[0].content", "text/html", report, None).expect("a problem");
    assert_eq!(refused.field, "explanations[0].content");
    for words in ["runs scripts (line 3: <script src=https://cdn.plot.ly/plotly.js>)", "write_image", "PDF"] {
        assert!(refused.description.contains(words), "{}", refused.description);
    }
    let rendition = |media_type, bytes| Some(Static { media_type, bytes });
    let with = |rendition| problem("explanations[0].content", "text/html", report, rendition);
    assert_eq!(with(rendition("image/png", b"\x89PNG\r\n\x1a\nrest")), None);
    assert_eq!(with(rendition("application/pdf", b"%PDF-1.7 rest")), None);
    assert_eq!(with(rendition("text/html", b"<p>the same, static")), None);
    let wrong = [
        rendition("image/png", b"GIF89a"),
        rendition("text/html", report),
        rendition("application/zip", b"PK\x03\x04"),
    ];
    for rendition in wrong {
        let refused = with(rendition).expect("a problem");
        assert_eq!(refused.field, "explanations[0].content.rendition", "{}", refused.description);
    }
}

#[test]
fn bytes_that_are_not_what_their_media_type_says_are_never_shown() {
    for (media_type, bytes) in [
        ("image/png", b"<html><script>".as_slice()),
        ("text/html", b"\xff\xfe<\0s\0"),
        ("text/plain", b"a\0b"),
        ("application/pdf", b"<script>"),
        ("image/webp", b"RIFF0000WAVE"),
    ] {
        assert!(matches!(shown(media_type, bytes), Shown::File(_)), "{media_type}");
        let served = served(media_type, bytes);
        assert_eq!(served.content_type, "application/octet-stream");
        assert!(served.attachment);
    }
}

#[test]
fn whatever_is_served_is_held_in_a_sandbox() {
    for media_type in ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "x/y"] {
        let served = served(media_type, b"<svg><script>1</script></svg>");
        assert!(served.content_security_policy.starts_with("sandbox; default-src 'none';"), "{media_type}");
        assert!(!served.content_security_policy.contains("allow-"), "{media_type}");
    }
    // XML is text to us: no style sheet of its own, no namespaces.
    assert_eq!(served("text/xml", b"<a/>").content_type, "text/plain; charset=utf-8");
}

#[test]
fn markdown_has_no_markup_links_or_pictures_of_its_own() {
    let text = "# Head\n\n<script>alert(1)</script>\n\na <b onclick=x>b</b> [l](javascript:x) ![p](https://e.example/p.png)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n";
    let (html, whole) = fragment("text/markdown", text);
    assert!(whole);
    for absent in ["<script", "<b ", "<a ", "<img", "href=", "src="] {
        assert!(!html.contains(absent), "{absent} in {html}");
    }
    for present in ["<h4>Head</h4>", "&lt;script&gt;", "javascript:x", "<table>", "picture, not shown"] {
        assert!(html.contains(present), "{present} not in {html}");
    }
    assert_eq!(needs("text/markdown", text.as_bytes()).len(), 1);
}

#[test]
fn tables_are_bounded_and_say_so() {
    let mut csv = String::from("feature;value\n");
    for i in 0..320 {
        csv.push_str(&format!("f{i};{}.5\n", i));
    }
    let (html, whole) = fragment("text/csv", &csv);
    assert!(!whole);
    assert_eq!(html.matches("<tr>").count(), 201);
    assert!(html.contains("The first 200 of 320 rows"));
    assert!(
        html.contains("<th scope=\"row\">f0</th><td class=\"n\">0.5</td>"),
        "{}",
        html.get(..400).unwrap_or("")
    );
}

#[test]
fn json_is_shown_as_structure_unless_it_can_be_read_in_two_ways() {
    let (html, _) =
        fragment("application/json", "{\"m\":{\"a\":{\"auc\":0.78702},\"b\":{\"auc\":null}},\"x\":\"<i>\"}");
    assert!(html.contains("<dt>x</dt><dd>&lt;i&gt;</dd>"), "{html}");
    assert!(html.contains("0.78702") && html.contains("scope=\"row\""), "{html}");
    let (html, _) = fragment("application/json", "{\"approved\":true,\"approved\":false}");
    assert!(html.starts_with("<pre"), "{html}");
    let (html, _) = fragment("application/json", &"[".repeat(200_000));
    assert!(html.starts_with("<pre"));
}

#[test]
fn characters_that_cannot_be_seen_are_named() {
    let html = visible("approve\u{202E}yned\u{200B} \u{7} \u{E0041}").into_string();
    for name in ["\u{27E8}U+202E\u{27E9}", "U+200B", "U+0007", "U+E0041"] {
        assert!(html.contains(name), "{name} not in {html}");
    }
    assert!(!html.contains('\u{202E}'));
    assert_eq!(visible("Zoë & Łukasz").into_string(), "<bdi>Zoë &amp; Łukasz</bdi>");
}
