//! Chunking: tasks with the same payload are sent together.

use std::collections::HashMap;

/// Makes at most `most` chunks of at most `size` tasks each; tasks of one chunk agree in their key. Tasks that fit into none are left out.
/// Chunks come in the order of their first tasks.
pub(super) fn chunks<K: Copy + Eq + std::hash::Hash, T>(
    tasks: Vec<(K, T)>,
    size: usize,
    most: usize,
) -> Vec<(K, Vec<T>)> {
    let mut chunks: Vec<(K, Vec<T>)> = Vec::new();
    let mut open: HashMap<K, usize> = HashMap::new();
    for (key, task) in tasks {
        match open.get(&key) {
            Some(&at) if chunks[at].1.len() < size => chunks[at].1.push(task),
            _ if chunks.len() < most => {
                open.insert(key, chunks.len());
                chunks.push((key, vec![task]));
            }
            _ => {}
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunking_loses_and_repeats_nothing(keys in prop::collection::vec(0_u8..6, 0..300), size in 1_usize..40) {
            let tasks: Vec<(u8, usize)> = keys.iter().copied().zip(0..).collect();
            let made = chunks(tasks.clone(), size, usize::MAX);
            let mut of_key: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
            for (key, chunk) in &made {
                prop_assert!((1..=size).contains(&chunk.len()));
                of_key.entry(*key).or_default().extend(chunk);
            }
            let mut expected: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
            for (key, task) in tasks {
                expected.entry(key).or_default().push(task);
            }
            // Every task once, in its order within the key, and in no more chunks than needed.
            prop_assert_eq!(&of_key, &expected);
            let needed: usize = expected.values().map(|tasks| tasks.len().div_ceil(size)).sum();
            prop_assert_eq!(made.len(), needed);
        }

        #[test]
        fn a_limit_on_chunks_leaves_the_latest_out(keys in prop::collection::vec(0_u8..6, 0..300), size in 1_usize..40, most in 0_usize..9) {
            let tasks: Vec<(u8, usize)> = keys.iter().copied().zip(0..).collect();
            let all = chunks(tasks.clone(), size, usize::MAX);
            let some = chunks(tasks, size, most);
            prop_assert_eq!(some.len(), all.len().min(most));
            for (key, chunk) in some {
                let begins = |(other, tasks): &&(u8, Vec<usize>)| *other == key && tasks[0] == chunk[0];
                prop_assert_eq!(&chunk, &all.iter().find(begins).unwrap().1);
            }
        }
    }
}
