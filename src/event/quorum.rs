//! Who fills which place of a quorum: no person fills two.

/// The largest matching of places and people: which places are filled. `places` are groups, one for each place;
/// `people` the groups of each person. Each person in turn is given a place, moving others where that helps (augmenting
/// paths), so that the order of the people does not matter.
pub fn filled(places: &[&str], people: &[&[String]]) -> Vec<bool> {
    let mut holder: Vec<Option<usize>> = vec![None; places.len()];
    for person in 0..people.len() {
        let mut tried = vec![false; places.len()];
        seat(person, places, people, &mut holder, &mut tried);
    }
    holder.iter().map(Option::is_some).collect()
}

/// One place for each member that is required.
pub fn places<'a>(required: impl IntoIterator<Item = (&'a str, u32)>) -> Vec<&'a str> {
    required.into_iter().flat_map(|(group, count)| std::iter::repeat_n(group, count as usize)).collect()
}

fn seat(
    person: usize,
    places: &[&str],
    people: &[&[String]],
    holder: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for (i, group) in places.iter().enumerate() {
        let fits = people.get(person).is_some_and(|groups| groups.iter().any(|member| member == group));
        if !fits || tried.get(i).copied().unwrap_or(true) {
            continue;
        }
        if let Some(tried) = tried.get_mut(i) {
            *tried = true;
        }
        let free = match holder.get(i).copied().flatten() {
            None => true,
            Some(other) => seat(other, places, people, holder, tried),
        };
        if free && let Some(place) = holder.get_mut(i) {
            *place = Some(person);
            return true;
        }
    }
    false
}
