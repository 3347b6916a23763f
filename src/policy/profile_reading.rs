//! Reads the parts of a [`ModelProfile`] out of strict JSON, and notes every problem with its path.

use std::collections::BTreeMap;

use crate::event::{promotion::Problems, text::name_problem};

use super::{
    calendar::days_between,
    document::{Json, Reader, names},
    profile::{Drift, FeatureType, Incumbent, Metrics, ModelProfile, Name, OVERALL, Scalar, Segmentation},
    table::Table,
};

/// Reads everything before it asks whether anything is missing, so that all problems are noted.
pub(super) fn read(mut r: Reader) -> Option<ModelProfile> {
    let algorithm = r.name("algorithm");
    let decision_thresholds = r.object("decision_thresholds").map(|map| thresholds(&mut r, map));
    let evaluation = r.nested("evaluation").map(|mut r| {
        let read = (r.digest("definition_digest"), r.digest("snapshot_digest"));
        r.finish();
        read
    });
    let feature_transformation_digest = r.digest("feature_transformation_digest");
    let features = r.list("features").map(|items| features(&mut r, items));
    let hyperparameters = r.object("hyperparameters").map(|map| scalars(&mut r, map));
    let intended_uses = r.names("intended_uses");
    if intended_uses.as_ref().is_some_and(Vec::is_empty) {
        r.problem("intended_uses", "is empty; say what the model is used for");
    }
    let inventory_id = r.name("inventory_id");
    let model = r.nested("model").map(|mut r| {
        let read = (r.name("name"), r.name("version"));
        r.finish();
        read
    });
    let population = r.nested("population").map(|mut r| {
        let read = (r.name("descriptor"), r.list("drift").map(|items| drifts(&mut r, items)));
        r.finish();
        read
    });
    let risk_tier = r.name("risk_tier");
    let segments = r.object("segments").map(|map| segments(&mut r, map));
    let training_window = r.nested("training_window").map(|mut r| {
        let (start, end, rows) = (r.name("start"), r.name("end"), r.count("rows"));
        let days = start.zip(end).and_then(|(start, end)| days_between(&start, &end));
        if days.is_none() {
            r.problem("end", "is not on or after start; both are dates such as 2026-11-14");
        }
        r.finish();
        (days, rows)
    });
    let mut known = Known::new();
    let path = r.at("metrics");
    let metrics = r.take("metrics").and_then(|value| metrics(&path, value, &mut known, r.problems()));
    let incumbent = incumbent(&mut r, &mut known);
    r.finish_checks(&features, &population, &segments, &metrics, &incumbent);
    r.finish();

    let ((definition_digest, snapshot_digest), (model_name, model_version)) = (evaluation?, model?);
    let ((population, drift), (training_days, training_rows)) = (population?, training_window?);
    Some(ModelProfile {
        algorithm: algorithm?,
        decision_thresholds: decision_thresholds?,
        definition_digest: definition_digest?,
        snapshot_digest: snapshot_digest?,
        feature_transformation_digest: feature_transformation_digest?,
        features: features?,
        hyperparameters: hyperparameters?,
        incumbent: incumbent?,
        intended_uses: intended_uses.map(sorted)?,
        inventory_id: inventory_id?,
        metrics: metrics?,
        model_name: model_name?,
        model_version: model_version?,
        population: population?,
        drift: drift?,
        risk_tier: risk_tier?,
        segments: segments?,
        training_days: training_days?,
        training_rows: training_rows?,
    })
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

type PopulationParts = (Option<String>, Option<Vec<Drift>>);

impl Reader<'_> {
    /// What one part says about another.
    fn finish_checks(
        &mut self,
        features: &Option<BTreeMap<String, FeatureType>>,
        population: &Option<PopulationParts>,
        segments: &Option<BTreeMap<String, Segmentation>>,
        metrics: &Option<Table<Metrics>>,
        incumbent: &Option<Option<Incumbent>>,
    ) {
        if let (Some(features), Some((_, Some(drift)))) = (features, population) {
            for (i, drift) in drift.iter().enumerate() {
                for feature in features.keys().filter(|name| !drift.psi.contains_key(name.as_str())) {
                    self.problem(&format!("population.drift[{i}].psi.{feature}"), "is missing");
                }
                for name in drift.psi.keys().filter(|name| !features.contains_key(name.as_ref())) {
                    self.problem(
                        &format!("population.drift[{i}].psi.{name}"),
                        "is not a feature of the model",
                    );
                }
            }
        }
        if let (Some(segments), Some(metrics)) = (segments, metrics) {
            segment_coverage(self, segments, metrics);
        }
        if let (Some(metrics), Some(Some(incumbent))) = (metrics, incumbent) {
            same_measures(self, metrics, &incumbent.metrics);
        }
    }
}

/// Every declared segment has metrics, and every metric is of a declared segment.
fn segment_coverage(r: &mut Reader, segments: &BTreeMap<String, Segmentation>, metrics: &Table<Metrics>) {
    if !metrics.contains_key(OVERALL) {
        r.problem("metrics.overall", "is missing");
    }
    for (dimension, cut) in segments {
        let prefix = format!("{dimension}:");
        if let Segmentation::Labels(labels) = cut {
            for label in labels.iter().map(|label| format!("{prefix}{label}")) {
                if !metrics.contains_key(label.as_str()) {
                    r.problem(&format!("metrics.{label}"), "is missing; each segment needs its metrics");
                }
            }
        } else if !metrics.keys().any(|name| name.starts_with(&prefix)) {
            r.problem(
                &format!("metrics.{prefix}…"),
                "is missing; each dimension needs metrics of its segments",
            );
        }
    }
    for name in metrics.keys().filter(|name| name.as_ref() != OVERALL) {
        let known = name.split_once(':').is_some_and(|(dimension, label)| match segments.get(dimension) {
            Some(Segmentation::Labels(labels)) => labels.iter().any(|known| known == label),
            Some(Segmentation::Definition(_)) => !label.is_empty(),
            None => false,
        });
        if !known {
            r.problem(&format!("metrics.{name}"), "is not a segment that `segments` declares");
        }
    }
}

/// Candidate and incumbent were measured alike: same segments, same metrics.
fn same_measures(r: &mut Reader, own: &Table<Metrics>, theirs: &Table<Metrics>) {
    let missing = |from: &Table<Metrics>, of: &Table<Metrics>| -> Vec<String> {
        let mut names = Vec::new();
        for (segment, metrics) in of.iter() {
            match from.get(segment) {
                None => names.push(format!("metrics.{segment}")),
                Some(has) => names.extend(
                    metrics.keys().filter(|m| !has.contains_key(m)).map(|m| format!("metrics.{segment}.{m}")),
                ),
            }
        }
        names
    };
    for path in missing(theirs, own) {
        r.problem(
            &format!("incumbent.{path}"),
            "is missing; the candidate has it, so the incumbent must too",
        );
    }
    for path in missing(own, theirs) {
        r.problem(&path, "is missing; the incumbent has it, so the candidate must too");
    }
}

fn thresholds(r: &mut Reader, map: BTreeMap<String, Json>) -> BTreeMap<String, f64> {
    let mut read = BTreeMap::new();
    for (name, value) in map {
        let key = format!("decision_thresholds.{name}");
        named(r, &key, &name);
        match value {
            Json::Number(number) => {
                read.insert(name, number);
            }
            other => r.problem(&key, format!("is {}; a number is needed", other.kind())),
        }
    }
    read
}

fn scalars(r: &mut Reader, map: BTreeMap<String, Json>) -> BTreeMap<String, Scalar> {
    let mut read = BTreeMap::new();
    for (name, value) in map {
        let key = format!("hyperparameters.{name}");
        named(r, &key, &name);
        let scalar = match value {
            Json::Null => Scalar::Null,
            Json::Bool(value) => Scalar::Bool(value),
            Json::Number(value) => Scalar::Number(value),
            Json::Text(value) => Scalar::Text(value),
            other => {
                r.problem(&key, format!("is {}; a single value is needed", other.kind()));
                continue;
            }
        };
        read.insert(name, scalar);
    }
    read
}

fn named(r: &mut Reader, key: &str, name: &str) {
    let at = r.at(key);
    r.problems().add_some(at, name_problem(name).map(|problem| format!("its name {problem}")));
}

fn features(r: &mut Reader, items: Vec<Json>) -> BTreeMap<String, FeatureType> {
    let mut read = BTreeMap::new();
    for (i, item) in items.into_iter().enumerate() {
        let path = r.at(&format!("features[{i}]"));
        let Some(mut feature) = Reader::new(path, item, r.problems()) else { continue };
        let (name, kind) = (feature.name("name"), feature.name("type"));
        let kind = kind.and_then(|kind| {
            let known = feature_type(&kind);
            if known.is_none() {
                feature.problem("type", format!("{kind:?} is not a type; one of {FEATURE_TYPES}"));
            }
            known
        });
        if let (Some(name), Some(kind)) = (name, kind)
            && read.insert(name.clone(), kind).is_some()
        {
            feature.problem("name", format!("{name:?} is listed twice"));
        }
        feature.finish();
    }
    if read.is_empty() {
        r.problem("features", "is empty; a model has inputs");
    }
    read
}

const FEATURE_TYPES: &str = "integer, number, categorical, text, boolean, datetime, binary";

fn feature_type(text: &str) -> Option<FeatureType> {
    Some(match text {
        "integer" => FeatureType::Integer,
        "number" => FeatureType::Number,
        "categorical" => FeatureType::Categorical,
        "text" => FeatureType::Text,
        "boolean" => FeatureType::Boolean,
        "datetime" => FeatureType::Datetime,
        "binary" => FeatureType::Binary,
        _ => return None,
    })
}

fn segments(r: &mut Reader, map: BTreeMap<String, Json>) -> BTreeMap<String, Segmentation> {
    let mut read = BTreeMap::new();
    for (dimension, value) in map {
        let key = format!("segments.{dimension}");
        named(r, &key, &dimension);
        if dimension.contains(':') {
            r.problem(&key, "has a colon in its name; a segment is written dimension:label");
        }
        let at = r.at(&key);
        let cut = match value {
            Json::Text(digest) if super::document::is_digest(&digest) => Segmentation::Definition(digest),
            Json::List(labels) if !labels.is_empty() => {
                Segmentation::Labels(names(&at, labels, r.problems()))
            }
            _ => {
                r.problem(&key, "is neither a list of labels nor `sha256:` and the digest of a definition");
                continue;
            }
        };
        read.insert(dimension, cut);
    }
    read
}

fn drifts(r: &mut Reader, items: Vec<Json>) -> Vec<Drift> {
    if items.is_empty() {
        r.problem("drift", "is empty; say how far the population has moved, and from which data");
    }
    let mut read = Vec::new();
    for (i, item) in items.into_iter().enumerate() {
        let path = r.at(&format!("drift[{i}]"));
        let Some(mut drift) = Reader::new(path, item, r.problems()) else { continue };
        let against = drift.digest("against");
        let psi = drift.object("psi").map(|map| {
            let mut psi = Table::default();
            for (feature, value) in map {
                match value {
                    Json::Null => psi.insert(feature.into(), None),
                    Json::Number(n) if n >= 0.0 => psi.insert(feature.into(), Some(n)),
                    _ => {
                        drift.problem(&format!("psi.{feature}"), "is not null or a number of 0 or more");
                        continue;
                    }
                };
            }
            psi
        });
        if let (Some(against), Some(psi)) = (against, psi) {
            read.push(Drift { against, psi });
        }
        drift.finish();
    }
    read
}

fn metrics(path: &str, value: Json, known: &mut Known, problems: &mut Problems) -> Option<Table<Metrics>> {
    let mut read = Table::default();
    for (segment, value) in Reader::new(path, value, problems)?.rest() {
        let at = format!("{path}.{segment}");
        let Some(mut r) = Reader::new(&at, value, problems) else { continue };
        if !matches!(r.take("small_sample"), Some(Json::Bool(_))) {
            r.problem(
                "small_sample",
                "is not true or false; say whether the segment is too small to measure",
            );
        }
        let mut metrics = Metrics::default();
        for (metric, value) in r.rest() {
            let value = match value {
                Json::Null => None,
                Json::Number(number) => Some(number),
                other => {
                    r.problem(&metric, format!("is {}; a number or null is needed", other.kind()));
                    continue;
                }
            };
            named(&mut r, &metric, &metric);
            let name = name_of(known, &metric);
            metrics.insert(name, value);
        }
        if metrics.is_empty() {
            problems.add(at, "is empty; a segment has metrics");
        }
        read.insert(name_of(known, &segment), metrics);
    }
    Some(read)
}

/// One allocation for each name, however many segments and models have it.
type Known = BTreeMap<String, Name>;

fn name_of(known: &mut Known, name: &str) -> Name {
    known.entry(name.to_owned()).or_insert_with(|| name.into()).clone()
}

fn incumbent(r: &mut Reader, known: &mut Known) -> Option<Option<Incumbent>> {
    let at = r.at("incumbent");
    match r.take("incumbent")? {
        Json::Null => Some(None),
        value => {
            let mut incumbent = Reader::new(&at, value, r.problems())?;
            let artifact_sha256 = incumbent.digest("artifact_sha256");
            let path = format!("{at}.metrics");
            let measured = incumbent.take("metrics");
            let measured = measured.and_then(|value| metrics(&path, value, known, incumbent.problems()));
            incumbent.finish();
            Some(Some(Incumbent { artifact_sha256: artifact_sha256?, metrics: measured? }))
        }
    }
}
