//! Names with members in the store: replicas change members of one name at once, and all of a name expire together.

use std::sync::LazyLock;
use std::time::Duration;

use super::script::StoreScript;
use super::store::{SharedStore, StoreAway};
use super::values::milliseconds;

static MEMBERS: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("members.lua")));
static PROLONG: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("prolong.lua")));

/// Names that one command carries.
const AT_ONCE: usize = 1000;

/// A member and its value; an empty value removes the member.
pub type MemberValue = (String, Vec<u8>);

impl SharedStore {
    /// Changes members of `name`, all of which live for `life` from now on. A name of which nothing is known gets those that
    /// are `offered` first. Without an offer it stays unknown, and the answer is `false`. A change that adds, replaces or removes
    /// a member sends the message to all replicas on the topic `kind`, also when the answer is lost on its way to this one.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn change_members(
        &self,
        kind: &str,
        name: &str,
        offered: Option<&[MemberValue]>,
        changed: &[MemberValue],
        message: &[u8],
        life: Duration,
    ) -> Result<bool, StoreAway> {
        let keys = [self.key(kind, name), self.key("events", kind)];
        let mut command = MEMBERS.with(keys.iter().map(String::as_str));
        command.arg(milliseconds(life));
        match offered {
            Some(offered) => command.arg(offered.len()),
            None => command.arg(-1),
        };
        command.arg(message);
        for (member, value) in offered.unwrap_or_default().iter().chain(changed) {
            command.arg(member).arg(value);
        }
        let others: i64 = self.evaluate(&MEMBERS, &command).await?;
        Ok(others >= 0)
    }

    /// The members of `name`, and their values; `None` when nothing is known of it.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn members(&self, kind: &str, name: &str) -> Result<Option<Vec<MemberValue>>, StoreAway> {
        let all: Vec<MemberValue> = self.ask(redis::cmd("HGETALL").arg(self.key(kind, name))).await?;
        let is_known = !all.is_empty();
        Ok(is_known.then(|| all.into_iter().filter(|(member, _)| !member.is_empty()).collect()))
    }

    /// Has the members of all `names` live for `life` from now on.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn prolong(&self, kind: &str, names: &[String], life: Duration) -> Result<(), StoreAway> {
        for some in names.chunks(AT_ONCE) {
            let keys: Vec<String> = some.iter().map(|name| self.key(kind, name)).collect();
            let mut command = PROLONG.with(keys.iter().map(String::as_str));
            command.arg(milliseconds(life));
            self.evaluate::<()>(&PROLONG, &command).await?;
        }
        Ok(())
    }

    /// Removes all `names` with their members.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn remove_all(&self, kind: &str, names: &[String]) -> Result<(), StoreAway> {
        for some in names.chunks(AT_ONCE) {
            let mut command = redis::cmd("UNLINK");
            for name in some {
                command.arg(self.key(kind, name));
            }
            self.ask::<()>(&command).await?;
        }
        Ok(())
    }
}
