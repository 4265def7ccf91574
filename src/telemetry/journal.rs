//! The journal without blocking: events are copied where they happen, and sent from the log's thread.
//!
//! `tracing-journald` speaks the protocol, and its `sendto` waits for a journal that is busy. So it never
//! stands on a call's path: [`Copying`] takes an event's fields along as text, and [`Emitting`] makes the
//! event anew, from the same metadata, for a subscriber of its own. That one is called
//! directly and is never a default of any thread, so it has no say in which events are enabled, and a
//! disabled event stays as cheap as the filter before [`Copying`] makes it.
//!
//! The fields of spans are not copied: the gateway has no spans.

use std::fmt;
use std::io;

use tracing::field::{Field, Value, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

use super::queue::{Line, LineQueue, Sink};
use super::text::{push_visible, visible};

/// An event on its way between threads.
#[derive(Debug)]
pub struct Copied {
    metadata: &'static Metadata<'static>,
    /// The values one after the other, as the journal shows them: with nothing unseen.
    text: String,
    /// Of each value the position of its field, and where its text ends.
    ends: Vec<(usize, usize)>,
}

/// Copies every event into the queue.
#[derive(Debug)]
pub struct Copying(pub LineQueue<Box<Copied>>);

/// Makes copied events anew for its subscriber.
#[derive(Debug)]
pub struct Emitting<S>(S);

impl<S: Subscriber> Layer<S> for Copying {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut copied =
            Copied { metadata: event.metadata(), text: String::with_capacity(256), ends: Vec::new() };
        copied.ends.reserve_exact(copied.metadata.fields().len());
        event.record(&mut copied);
        self.0.offer(Box::new(copied));
    }
}

impl Visit for Copied {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text.push_str(&visible(value));
        self.ends.push((field.index(), self.text.len()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        push_visible(&mut self.text, value);
        self.ends.push((field.index(), self.text.len()));
    }
}

impl Line for Box<Copied> {
    fn bytes(&self) -> usize {
        size_of::<Copied>() + self.text.capacity() + self.ends.capacity() * size_of::<(usize, usize)>()
    }
}

/// The journal of this machine, for entries under `identifier`; fails where there is none.
pub fn journal(identifier: &str) -> io::Result<Emitting<impl Subscriber + use<>>> {
    let journal = tracing_journald::layer()?
        .with_syslog_identifier(identifier.to_owned())
        .with_field_prefix(None)
        .with_priority_mappings(priorities());
    Ok(Emitting(Registry::default().with(journal)))
}

/// `journalctl -p info` must not show the gateway's debug events.
fn priorities() -> PriorityMappings {
    PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    }
}

impl<S: Subscriber + Send> Sink<Box<Copied>> for Emitting<S> {
    fn take(&mut self, copied: Box<Copied>) {
        let fields = copied.metadata.fields();
        let mut texts: Vec<Option<&str>> = vec![None; fields.len()];
        let mut start = 0;
        for &(position, end) in &copied.ends {
            texts[position] = Some(&copied.text[start..end]);
            start = end;
        }
        // `journalctl` shows the message alone, so the error that it speaks of belongs into it.
        let position = |name| fields.field(name).map(|field| field.index());
        let message = position("message")
            .zip(position("error"))
            .and_then(|(message, error)| Some((message, format!("{}: {}", texts[message]?, texts[error]?))));
        if let Some((position, message)) = &message {
            texts[*position] = Some(message);
        }
        let values: Vec<Option<&dyn Value>> =
            texts.iter().map(|text| text.as_ref().map(|text| text as &dyn Value)).collect();
        self.0.event(&Event::new(copied.metadata, &fields.value_set_all(&values)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, warn};
    use tracing_subscriber::EnvFilter;

    use super::super::queue;
    use super::*;

    /// Level, target, and the fields in their order as the journal would get them.
    type Seen = (String, String, Vec<(String, String)>);

    /// Keeps what arrives.
    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<Seen>>>);

    struct Fields(Vec<(String, String)>);

    impl Visit for Fields {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.push((field.name().to_owned(), value.to_owned()));
        }

        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0.push((field.name().to_owned(), format!("{value:?}")));
        }
    }

    impl<S: Subscriber> Layer<S> for Captured {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            let metadata = event.metadata();
            let entry = (metadata.level().to_string(), metadata.target().to_owned(), fields.0);
            self.0.lock().unwrap().push(entry);
        }
    }

    /// Runs `work` with the copying layer behind the filter `info`; gives what arrives at the far end, and
    /// what a layer in its place would have seen.
    fn both_ways(work: impl Fn()) -> [Vec<Seen>; 2] {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let (far, near) = (Captured::default(), Captured::default());
        let (queue, writer) =
            queue::start(Emitting(Registry::default().with(far.clone())), &DROPPED).unwrap();
        let copying = Registry::default().with(EnvFilter::new("info")).with(Copying(queue));
        tracing::subscriber::with_default(copying, &work);
        drop(writer);
        let direct = Registry::default().with(EnvFilter::new("info")).with(near.clone());
        tracing::subscriber::with_default(direct, &work);
        [far, near].map(|captured| captured.0.lock().unwrap().clone())
    }

    #[test]
    fn every_value_arrives_as_it_was_with_level_and_target() {
        let [far, near] = both_ways(|| {
            let error = io::Error::other("no room");
            info!(
                target: "mcpo::call",
                mcp_server = "time",
                mcp_tool = %"a\"b",
                duration_ms = 12.345,
                status = 401_u16,
                ok = true,
                api_key_name = None::<&str>,
                trace_id = Some("4bf9"),
                "{} done", "time/now"
            );
            warn!(reason = %error, list = ?["a", "b"], "ünï");
        });
        assert_eq!(far, near);
        let (level, target, fields) = &far[0];
        assert_eq!((level.as_str(), target.as_str()), ("INFO", "mcpo::call"));
        let of = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(of("message"), Some("time/now done"));
        assert_eq!((of("duration_ms"), of("status")), (Some("12.345"), Some("401")));
        assert_eq!((of("api_key_name"), of("trace_id")), (None, Some("4bf9")));
        assert_eq!(far[1].2[1], ("reason".to_owned(), "no room".to_owned()));
    }

    #[test]
    fn no_value_of_a_stranger_is_obeyed_by_who_reads_the_journal() {
        let [far, _] = both_ways(|| {
            let tool = "a\n\u{9b}31m\u{202e}";
            warn!(mcp_tool = tool, reason = %tool, "called {tool}");
        });
        let shown = "a\\n\\u{9b}31m\\u{202e}";
        let values: Vec<&str> = far[0].2.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, [&format!("called {shown}"), shown, shown]);
    }

    #[test]
    fn an_error_is_part_of_the_message_and_a_field() {
        let [far, _] = both_ways(|| warn!(error = %io::Error::other("no room"), "it cannot be kept"));
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(far[0].2, [field("message", "it cannot be kept: no room"), field("error", "no room")]);
    }

    #[test]
    fn what_the_filter_disables_is_neither_made_nor_copied() {
        let made = AtomicU64::new(0);
        let count = || made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let [far, _] = both_ways(|| {
            debug!(number = count(), "below the level");
            info!(number = count(), "at the level");
        });
        assert_eq!(far.len(), 1);
        assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 2, "once for each of the two ways");
    }

    #[test]
    fn levels_keep_their_meaning_in_the_journal() {
        let PriorityMappings { error, warn, info, debug, trace } = priorities();
        let numbers = [error, warn, info, debug, trace].map(|priority| priority as u8);
        assert_eq!(&numbers, b"34677");
    }
}
