//! Metrics as a monitoring system reads them: Prometheus' text format.

use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Vec<Sample>);

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A quantile of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantile {
    /// Interpolated linearly within the bucket it falls into.
    Interpolated(f64),
    /// Beyond the last bucket's bound, which is given.
    Above(f64),
}

impl Metrics {
    /// Reads a scrape; lines that are no samples are passed over.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(Sample::parse).collect())
    }

    /// The sum of all samples of this name that have all these labels; 0 if there is none.
    pub fn total(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        // Not `sum`: that of nothing is -0.
        self.matching(name, labels).fold(0.0, |total, sample| total + sample.value)
    }

    /// Every value that a label takes among the samples of this name.
    pub fn label_values(&self, name: &str, label: &str) -> BTreeSet<String> {
        self.matching(name, &[]).filter_map(|sample| sample.labels.get(label).cloned()).collect()
    }

    /// The names of all samples.
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|sample| sample.name.as_str()).collect()
    }

    /// What was added since an earlier scrape, sample by sample: what counters and histograms counted in between. Of
    /// gauges it is the change.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before: BTreeMap<_, f64> =
            earlier.0.iter().map(|sample| ((&sample.name, &sample.labels), sample.value)).collect();
        let added = |sample: &Sample| {
            let before = before.get(&(&sample.name, &sample.labels)).copied().unwrap_or(0.0);
            Sample { value: sample.value - before, ..sample.clone() }
        };
        Self(self.0.iter().map(added).collect())
    }

    /// The `q`-quantile (0..1) of the histogram of this name, over all its labels; none if it has counted nothing.
    pub fn quantile(&self, name: &str, q: f64) -> Option<Quantile> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.matching(&format!("{name}_bucket"), &[]) {
            let bound = sample.labels.get("le").and_then(|bound| number(bound))?;
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let rank = q * count;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, cumulative) in buckets {
            if cumulative >= rank && cumulative > below {
                return Some(if bound.is_infinite() {
                    Quantile::Above(lower)
                } else {
                    Quantile::Interpolated(lower + (bound - lower) * (rank - below) / (cumulative - below))
                });
            }
            (lower, below) = (bound, cumulative);
        }
        None
    }

    fn matching<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Sample> {
        let fits = move |sample: &&Sample| {
            let has = |(label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|is| is == value);
            sample.name == name && labels.iter().all(has)
        };
        self.0.iter().filter(fits)
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (name, labels, value) = match line.split_once('{') {
            Some((name, rest)) => {
                let (labels, value) = parse_labels(rest)?;
                (name, labels, value)
            }
            None => {
                let (name, value) = line.split_once(' ')?;
                (name, BTreeMap::new(), value)
            }
        };
        // A timestamp may follow the value.
        let value = number(value.split_whitespace().next()?)?;
        Some(Self { name: name.to_owned(), labels, value })
    }
}

/// Labels up to the closing brace, and what follows it.
fn parse_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (label, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    literal => value.push(literal),
                },
                (_, literal) => value.push(literal),
            }
        };
        labels.insert(label.to_owned(), value);
        rest = quoted.get(end + 1..)?;
    }
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = r#"# HELP frames_total Frames.
# TYPE frames_total counter
frames_total{camera="a"} 3
frames_total{camera="b, \"the\" \\ one",gate="open"} 4
up 1
delay_seconds_bucket{camera="a",le="0.5"} 2
delay_seconds_bucket{camera="a",le="1"} 4
delay_seconds_bucket{camera="a",le="+Inf"} 4
delay_seconds_bucket{camera="b",le="0.5"} 0
delay_seconds_bucket{camera="b",le="1"} 4
delay_seconds_bucket{camera="b",le="+Inf"} 6
delay_seconds_sum{camera="a"} 0.5
delay_seconds_count{camera="a"} 4
"#;

    #[test]
    fn samples_are_summed_over_labels() {
        let metrics = Metrics::parse(SCRAPE);
        assert_eq!(metrics.total("frames_total", &[]), 7.0);
        assert_eq!(metrics.total("frames_total", &[("camera", "b, \"the\" \\ one")]), 4.0);
        assert_eq!(metrics.total("up", &[]), 1.0);
        assert_eq!(metrics.total("down", &[]).to_string(), "0");
        assert_eq!(metrics.label_values("frames_total", "gate"), ["open".to_owned()].into());
    }

    #[test]
    fn a_window_holds_what_was_counted_in_it() {
        let later = SCRAPE.replace("frames_total{camera=\"a\"} 3", "frames_total{camera=\"a\"} 10");
        let later = later.replace("camera=\"b\",le=\"+Inf\"} 6", "camera=\"b\",le=\"+Inf\"} 9") + "new_total 2\n";
        let window = Metrics::parse(&later).since(&Metrics::parse(SCRAPE));
        assert_eq!(window.total("frames_total", &[]), 7.0);
        assert_eq!(window.total("new_total", &[]), 2.0);
        assert_eq!(window.quantile("delay_seconds", 0.5), Some(Quantile::Above(1.0)));
        assert!(window.names().contains("new_total") && !Metrics::parse(SCRAPE).names().contains("new_total"));
    }

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        // Ten values: two up to 0.5, six more up to 1, two beyond.
        let metrics = Metrics::parse(SCRAPE);
        assert_eq!(metrics.quantile("delay_seconds", 0.1), Some(Quantile::Interpolated(0.25)));
        assert_eq!(metrics.quantile("delay_seconds", 0.5), Some(Quantile::Interpolated(0.75)));
        assert_eq!(metrics.quantile("delay_seconds", 0.99), Some(Quantile::Above(1.0)));
        assert_eq!(metrics.quantile("other_seconds", 0.5), None);
    }
}
