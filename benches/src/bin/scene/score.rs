//! What is counted.

/// The area under the receiver operating characteristic: how often a positive score exceeds a negative one, ties counting
/// half (Mann and Whitney's U over the product of the counts). None where there is no score on either side.
pub fn auroc(negatives: &[f32], positives: &[f32]) -> Option<f64> {
    if negatives.is_empty() || positives.is_empty() {
        return None;
    }
    let mut sorted = negatives.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let below = |score: f32| {
        let less = sorted.partition_point(|other| *other < score);
        let same = sorted.partition_point(|other| *other <= score) - less;
        less as f64 + 0.5 * same as f64
    };
    let wins: f64 = positives.iter().map(|score| below(*score)).sum();
    Some(wins / (negatives.len() as f64 * positives.len() as f64))
}

/// The middle and the largest of some numbers.
pub fn median_and_most(mut numbers: Vec<f64>) -> Option<(f64, f64)> {
    numbers.sort_unstable_by(f64::total_cmp);
    Some((*numbers.get(numbers.len() / 2)?, *numbers.last()?))
}

/// The rate, in one an hour, that is excluded at 95 % when nothing was seen for so many hours (the rule of three).
pub fn bound(hours: f64) -> f64 {
    3.0 / hours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_pairs() {
        assert_eq!(auroc(&[1.0, 2.0], &[3.0]), Some(1.0));
        assert_eq!(auroc(&[1.0, 2.0], &[2.0]), Some(0.75));
        assert_eq!(auroc(&[3.0], &[1.0, 4.0]), Some(0.5));
        assert_eq!(auroc(&[], &[1.0]), None);
    }

    #[test]
    fn median_and_most_of_nothing_are_nothing() {
        assert_eq!(median_and_most(vec![]), None);
        assert_eq!(median_and_most(vec![3.0, 1.0, 2.0]), Some((2.0, 3.0)));
    }
}
