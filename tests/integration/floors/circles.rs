//! Files of a room do not import each other in a circle of more than three.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, imported_paths, mark_tests, sources, tokens, without_tests};

/// The most files that may import each other in a circle.
const MOST: usize = 3;

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Which files import which; test modules and the two roots of the package do not count.
fn graph(sources: &[Source]) -> Graph {
    let counts = |source: &&Source| !source.is_test && !["lib", "main"].contains(&&*source.module);
    let files: BTreeSet<&str> = sources.iter().filter(counts).map(|source| &*source.module).collect();
    let targets = |source: &Source| {
        let tokens = tokens(&source.text);
        let (tokens, _) = without_tests(&tokens);
        let paths = imported_paths(&tokens);
        let targets = paths.iter().filter_map(|path| target(&source.module, path, &files));
        targets.filter(|target| *target != source.module).collect()
    };
    sources.iter().filter(counts).map(|source| (source.module.clone(), targets(source))).collect()
}

/// The file that `path` leads to from `module`: the longest beginning of the path that is one.
fn target(module: &str, path: &[&str], files: &BTreeSet<&str>) -> Option<String> {
    let mut place: Vec<&str> = module.split('/').collect();
    for segment in path {
        match *segment {
            "crate" => place.clear(),
            "self" => {}
            "super" => drop(place.pop()),
            segment => place.push(segment),
        }
    }
    while !place.is_empty() && !files.contains(&*place.join("/")) {
        place.pop();
    }
    (!place.is_empty()).then(|| place.join("/"))
}

/// The files that import each other, in groups of two and more.
fn circles(graph: &Graph) -> Vec<Vec<&String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|file| (file, reached_from(file, graph))).collect();
    let mut circles: Vec<Vec<&String>> = Vec::new();
    for file in graph.keys().filter(|file| reached[file].contains(file)) {
        if !circles.iter().flatten().any(|known| *known == file) {
            circles.push(
                graph
                    .keys()
                    .filter(|other| reached[file].contains(other) && reached[other].contains(file))
                    .collect(),
            );
        }
    }
    circles
}

fn reached_from<'a>(file: &'a String, graph: &'a Graph) -> BTreeSet<&'a String> {
    let (mut reached, mut unread) = (BTreeSet::new(), vec![file]);
    while let Some(file) = unread.pop() {
        unread.extend(graph[file].iter().filter(|next| reached.insert(*next)));
    }
    reached
}

#[test]
fn no_circle_of_imports_has_more_than_three_files() {
    let graph = graph(&sources());
    let large: Vec<_> = circles(&graph).into_iter().filter(|circle| circle.len() > MOST).collect();
    assert!(large.is_empty(), "these files import each other: {large:#?}");
}

fn written(files: &[(&str, &str)]) -> Vec<Source> {
    let source = |(module, text): &(&str, &str)| Source {
        path: module.into(),
        module: (*module).to_owned(),
        text: (*text).to_owned(),
        is_test: false,
    };
    let mut sources: Vec<Source> = files.iter().map(source).collect();
    mark_tests(&mut sources);
    sources
}

#[test]
fn a_child_that_imports_what_its_parent_takes_from_a_sister_makes_a_circle() {
    let parent = ("a", "mod b; mod c; pub use b::B; use c::C;");
    let through_the_parent = [parent, ("a/b", "pub struct B;"), ("a/c", "use super::B; pub struct C;")];
    assert_eq!(circles(&graph(&written(&through_the_parent))), [["a", "a/c"]]);
    let from_the_sister = [parent, ("a/b", "pub struct B;"), ("a/c", "use super::b::B; pub struct C;")];
    assert!(circles(&graph(&written(&from_the_sister))).is_empty());
}

#[test]
fn a_circle_is_found_over_every_kind_of_path_and_not_over_tests() {
    let files = [
        ("a", "use serde::b; fn f() -> crate::b::c::D {}"),
        ("b", "use {\n std::fmt,\n self::c::E,\n};"),
        ("b/c", "impl X for super::super::d::Y {}"),
        ("d", "use crate::{b, e};"),
        ("e", "#[cfg(test)] mod tests; #[cfg(test)] mod more { use crate::a; } // use crate::a;"),
        ("e/tests", "use crate::a;"),
    ];
    assert_eq!(circles(&graph(&written(&files))), [["b", "b/c", "d"]]);
}
