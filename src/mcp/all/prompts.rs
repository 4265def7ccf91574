//! The names under which the prompts of all servers stand together: `{server}_{prompt}`, made as those of tools.
//!
//! But while the tools of all servers are known before anybody is told of one, prompts are heard of when somebody lists
//! them. So a name hangs on nothing but the prompt and the names of all configured servers ([`lasting_ids`]): it means the
//! same whoever else is heard of later, down, or not seen by a caller, and after a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::catalog::operation_id::lasting_ids;
use crate::config::ServerName;

/// The names, both ways. Reading takes no lock.
#[derive(Debug)]
pub struct PromptNames {
    /// All that are configured.
    servers: Vec<ServerName>,
    known: ArcSwap<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By server, in the order of its list.
    prompts: BTreeMap<ServerName, Vec<Arc<str>>>,
    names: HashMap<ServerName, HashMap<Arc<str>, Arc<str>>>,
    places: HashMap<Arc<str>, (ServerName, Arc<str>)>,
}

impl PromptNames {
    /// Among `servers`; no prompt was heard of yet.
    pub fn new(servers: Vec<ServerName>) -> Self {
        Self { servers, known: ArcSwap::default() }
    }

    /// Takes note of what servers list now.
    pub fn learn(&self, heard: &[(ServerName, Vec<Arc<str>>)]) {
        self.known.rcu(|known| {
            let is_known = |(server, prompts): &(ServerName, Vec<Arc<str>>)| {
                known.prompts.get(server).map_or(prompts.is_empty(), |listed| listed == prompts)
            };
            if heard.iter().all(is_known) {
                return known.clone();
            }
            let mut prompts = known.prompts.clone();
            prompts.extend(heard.iter().cloned());
            Arc::new(Known::new(&self.servers, prompts))
        });
    }

    /// The name of a prompt here.
    pub fn of(&self, server: &ServerName, prompt: &str) -> Option<Arc<str>> {
        self.known.load().names.get(server)?.get(prompt).cloned()
    }

    /// The server that has the prompt called `name` here, and its own name for it.
    pub fn find(&self, name: &str) -> Option<(Box<str>, Arc<str>)> {
        let known = self.known.load();
        let (server, prompt) = known.places.get(name)?;
        Some((server.as_str().into(), prompt.clone()))
    }
}

impl Known {
    fn new(servers: &[ServerName], prompts: BTreeMap<ServerName, Vec<Arc<str>>>) -> Self {
        let flat: Vec<_> = prompts
            .iter()
            .flat_map(|(server, list)| list.iter().map(move |prompt| (server, prompt)))
            .collect();
        let servers: Vec<&ServerName> = servers.iter().collect();
        let ids = lasting_ids(&servers, flat.iter().map(|(server, prompt)| (server.as_str(), &***prompt)));
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

    fn names(servers: &[&str]) -> PromptNames {
        PromptNames::new(servers.iter().map(|server| ServerName::new(server).unwrap()).collect())
    }

    fn heard(server: &str, prompts: &[&str]) -> (ServerName, Vec<Arc<str>>) {
        (ServerName::new(server).unwrap(), prompts.iter().map(|prompt| Arc::from(*prompt)).collect())
    }

    #[test]
    fn names_are_found_again_and_do_not_hang_on_who_was_heard_of_first() {
        let all = [heard("a_b", &["c", "odd name"]), heard("a", &["b_c", "plain"])];
        let (forth, back) = (names(&["a_b", "a"]), names(&["a_b", "a"]));
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
        assert!(seen.contains(&Arc::from("a_plain")) && seen.contains(&Arc::from("a_b_c")), "{seen:?}");
    }

    #[test]
    fn a_name_means_the_same_before_and_after_another_server_is_heard_of_or_lists_nothing_more() {
        let names = names(&["a", "a_b"]);
        names.learn(&[heard("a", &["b_c"])]);
        let name = names.of(&ServerName::new("a").unwrap(), "b_c").unwrap();
        names.learn(&[heard("a_b", &["c"])]);
        for _ in 0..2 {
            assert_eq!(names.find(&name), Some(("a".into(), Arc::from("b_c"))));
            assert_ne!(names.find("a_b_c"), Some(("a".into(), Arc::from("b_c"))));
            names.learn(&[heard("a_b", &[])]);
        }
    }

    #[test]
    fn a_prompt_that_its_server_lists_no_longer_is_forgotten_and_those_of_others_stay() {
        let names = names(&["a", "b"]);
        names.learn(&[heard("a", &["one", "two"]), heard("b", &["one"])]);
        names.learn(&[heard("a", &["two"])]);
        assert!(names.find("a_one").is_none());
        assert!(names.find("a_two").is_some() && names.find("b_one").is_some());
    }
}
