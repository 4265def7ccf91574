//! The names under which the prompts of all servers stand together: `{server}_{prompt}`, made as those of tools
//! ([`combined_operation_ids`]).
//!
//! They are made over all prompts that were heard of: one server that is down, or that a caller does not see, does not
//! change what the prompts of others are called.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::catalog::operation_id::combined_operation_ids;
use crate::config::ServerName;

/// The names, both ways. Reading takes no lock.
#[derive(Debug, Default)]
pub struct PromptNames(ArcSwap<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By server, in the order of its list.
    prompts: BTreeMap<ServerName, Vec<Arc<str>>>,
    names: HashMap<ServerName, HashMap<Arc<str>, Arc<str>>>,
    places: HashMap<Arc<str>, (ServerName, Arc<str>)>,
}

impl PromptNames {
    /// Takes note of what servers list now.
    pub fn learn(&self, heard: &[(ServerName, Vec<Arc<str>>)]) {
        self.0.rcu(|known| {
            let is_known = |(server, prompts): &(ServerName, Vec<Arc<str>>)| {
                known.prompts.get(server).map_or(prompts.is_empty(), |listed| listed == prompts)
            };
            if heard.iter().all(is_known) {
                return known.clone();
            }
            let mut prompts = known.prompts.clone();
            prompts.extend(heard.iter().cloned());
            Arc::new(Known::new(prompts))
        });
    }

    /// The name of a prompt here.
    pub fn of(&self, server: &ServerName, prompt: &str) -> Option<Arc<str>> {
        self.0.load().names.get(server)?.get(prompt).cloned()
    }

    /// The server that has the prompt called `name` here, and its own name for it.
    pub fn find(&self, name: &str) -> Option<(Box<str>, Arc<str>)> {
        let known = self.0.load();
        let (server, prompt) = known.places.get(name)?;
        Some((server.as_str().into(), prompt.clone()))
    }
}

impl Known {
    fn new(prompts: BTreeMap<ServerName, Vec<Arc<str>>>) -> Self {
        let flat: Vec<_> = prompts
            .iter()
            .flat_map(|(server, list)| list.iter().map(move |prompt| (server, prompt)))
            .collect();
        let ids = combined_operation_ids(flat.iter().map(|(server, prompt)| (server.as_str(), &***prompt)));
        let mut names: HashMap<ServerName, HashMap<Arc<str>, Arc<str>>> = HashMap::new();
        let mut places = HashMap::with_capacity(flat.len());
        for ((server, prompt), id) in flat.into_iter().zip(ids) {
            let id: Arc<str> = id.into();
            names.entry(server.clone()).or_default().insert(prompt.clone(), id.clone());
            places.insert(id, (server.clone(), prompt.clone()));
        }
        Self { prompts, names, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(server: &str, prompts: &[&str]) -> (ServerName, Vec<Arc<str>>) {
        (ServerName::new(server).unwrap(), prompts.iter().map(|prompt| Arc::from(*prompt)).collect())
    }

    #[test]
    fn names_are_found_again_and_do_not_hang_on_who_was_heard_of_first() {
        let all = [heard("a_b", &["c", "odd name"]), heard("a", &["b_c", "plain"])];
        let (forth, back) = (PromptNames::default(), PromptNames::default());
        forth.learn(&all);
        for one in all.iter().rev() {
            back.learn(std::slice::from_ref(one));
        }
        let mut seen = Vec::new();
        for (server, prompts) in &all {
            for prompt in prompts {
                let name = forth.of(server, prompt).unwrap();
                assert_eq!(back.of(server, prompt).unwrap(), name);
                assert_eq!(forth.find(&name), Some((server.as_str().into(), prompt.clone())));
                assert!(name.len() <= 64 && !seen.contains(&name), "{name}");
                seen.push(name);
            }
        }
        assert!(seen.contains(&Arc::from("a_plain")) && forth.find("a_b_c").is_none(), "{seen:?}");
    }

    #[test]
    fn a_prompt_that_its_server_lists_no_longer_is_forgotten_and_those_of_others_stay() {
        let names = PromptNames::default();
        names.learn(&[heard("a", &["one", "two"]), heard("b", &["one"])]);
        names.learn(&[heard("a", &["two"])]);
        assert!(names.find("a_one").is_none());
        assert!(names.find("a_two").is_some() && names.find("b_one").is_some());
    }
}
