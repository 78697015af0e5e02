//! What was meant by a word that nobody knows: the known words that are few letters away, or that it is a part of.

/// How many words are suggested.
const MOST: usize = 5;

/// The nearest of some groups of words, the nearest first; nothing if none is near.
pub(super) fn nearest(word: &str, groups: &[(&'static str, Vec<String>)]) -> Vec<String> {
    let word = word.to_lowercase();
    let letters = word.chars().count();
    // What is longer is a line or a sentence, and near to nothing.
    if !(2..=64).contains(&letters) {
        return Vec::new();
    }
    let mut found: Vec<(usize, &str)> = Vec::new();
    for known in groups.iter().flat_map(|(_, words)| words) {
        let lower = known.to_lowercase();
        let away = distance(&word, &lower);
        let part = letters > 2 && (lower.contains(&word) || lower.len() > 3 && word.contains(&lower));
        if away <= (letters / 3).max(1) || part {
            found.push((away, known));
        }
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(MOST).map(|(_, known)| known.to_owned()).collect()
}

/// How many letters are to be put in, taken out or replaced to make one word the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut costs: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.chars().enumerate() {
        let mut corner = row;
        costs[0] = row + 1;
        for (column, their) in other.iter().enumerate() {
            let replaced = corner + usize::from(letter != *their);
            corner = costs[column + 1];
            costs[column + 1] = replaced.min(corner + 1).min(costs[column] + 1);
        }
    }
    costs[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_comes_first() {
        let words = ["UF", "URX", "UH", "PassthroughCluster", "upstream_host", "upstream_cluster"];
        let groups = [("all", words.map(str::to_owned).to_vec())];
        assert_eq!(nearest("PasthroughCluster", &groups), ["PassthroughCluster"]);
        assert_eq!(nearest("upstream_hots", &groups)[0], "upstream_host");
        assert_eq!(nearest("UFX", &groups)[0], "UF");
        assert_eq!(nearest("host", &groups), ["upstream_host"]);
        assert!(nearest("something else", &groups).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
