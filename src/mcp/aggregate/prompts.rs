//! Names of prompts at the endpoint of all servers: `{server}_{prompt}`, made like the names of tools.
//!
//! The gateway learns of prompts when a client lists them. A name keeps its meaning when other servers are learned of
//! later, are down or are hidden from a caller, and after a restart ([`Namespace`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::catalog::Namespace;
use crate::config::ServerName;

/// The names in both directions. Reading takes no lock.
#[derive(Debug)]
pub struct PromptNames {
    namespace: Arc<Namespace>,
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
    /// Names in `namespace`, without prompts yet.
    pub fn new(namespace: Arc<Namespace>) -> Self {
        Self { namespace, known: ArcSwap::default() }
    }

    /// Learns the prompts that servers list now.
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
            Arc::new(Known::new(&self.namespace, prompts))
        });
    }

    /// The name of a server's prompt at the endpoint of all servers.
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
    fn new(namespace: &Namespace, prompts: BTreeMap<ServerName, Vec<Arc<str>>>) -> Self {
        let mut names: HashMap<ServerName, HashMap<Arc<str>, Arc<str>>> = HashMap::new();
        let mut places = HashMap::new();
        for (server, list) in &prompts {
            let exposed = namespace.exposed_names(server, list.iter().map(|prompt| &**prompt));
            let exposed: Vec<Arc<str>> = exposed.into_iter().map(Arc::from).collect();
            let of_server = list.iter().zip(&exposed).map(|(prompt, name)| (prompt.clone(), name.clone()));
            names.insert(server.clone(), of_server.collect());
            places
                .extend(exposed.into_iter().zip(list.iter().map(|prompt| (server.clone(), prompt.clone()))));
        }
        Self { prompts, names, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults::EXPOSED_NAME_LENGTH;

    fn names(servers: &[&str]) -> PromptNames {
        let servers = servers.iter().map(|server| ServerName::new(server).unwrap());
        PromptNames::new(Arc::new(Namespace::new(servers, EXPOSED_NAME_LENGTH)))
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
                assert!(name.len() <= 50 && !seen.contains(&name), "{name}");
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
