//! Checks a definition's members against the rules for its kind, mends what it can, and notes the flaws.

use serde_json::{Map, Number, Value, json};

use super::date_time::is_date_time;
use super::flaw::{Flaws, Verdict, Wrong, mended_list};
use super::members::{Defined, ROOT_SCHEMA, Rule, Shape, Without, of};
use super::{output, schema};

/// JavaScript's `Number.MAX_SAFE_INTEGER`.
const LARGEST_SIZE: u64 = (1 << 53) - 1;

/// Holds the members of `definition` to the rules for its kind.
pub fn held(
    kind: Defined,
    definition: &Map<String, Value>,
    flaws: &mut Flaws,
) -> Verdict<Map<String, Value>> {
    members(of(kind), definition, flaws)
}

fn members(rules: &[Rule], members: &Map<String, Value>, flaws: &mut Flaws) -> Verdict<Map<String, Value>> {
    let mut changed: Option<Map<String, Value>> = None;
    let mut change = |name: &str, value: Option<Value>| {
        let changed = changed.get_or_insert_with(|| members.clone());
        match value {
            Some(value) => drop(changed.insert(name.to_owned(), value)),
            None => drop(changed.shift_remove(name)),
        }
    };
    for rule in rules {
        let name = rule.member;
        let verdict = match members.get(name) {
            Some(value) => flaws.within(name, |flaws| value_of(rule.shape, value, flaws)),
            None if matches!(rule.without, Without::Whole) => Verdict::Fits,
            None => {
                flaws.within(name, |flaws| flaws.add(Wrong::Missing));
                Verdict::Drop
            }
        };
        match (verdict, rule.without) {
            (Verdict::Fits, _) => {}
            (Verdict::Mend(value), _) => change(name, Some(value)),
            (Verdict::Drop, Without::Whole) => change(name, None),
            (Verdict::Drop, Without::Useless) => return Verdict::Drop,
            (Verdict::Drop, Without::CopyOf(other)) => change(name, members.get(other).cloned()),
            (Verdict::Drop, Without::Made(make)) => change(name, Some(make())),
        }
    }
    changed.map_or(Verdict::Fits, Verdict::Mend)
}

fn value_of(shape: Shape, value: &Value, flaws: &mut Flaws) -> Verdict<Value> {
    let no = match (shape, value) {
        (Shape::Text, Value::String(_)) | (Shape::Flag, Value::Bool(_)) => return Verdict::Fits,
        (Shape::Object, Value::Object(_)) => return Verdict::Fits,
        (Shape::OneOf(texts, _), Value::String(text)) if texts.contains(&text.as_str()) => {
            return Verdict::Fits;
        }
        (Shape::Fraction, Value::Number(number)) if is_fraction(number) => return Verdict::Fits,
        (Shape::DateTime, Value::String(text)) if is_date_time(text) => return Verdict::Fits,
        (Shape::ObjectType, value) if value == "object" => return Verdict::Fits,
        (Shape::ObjectType, value) => {
            flaws.add_no("`object`", value);
            return Verdict::Mend("object".into());
        }
        (Shape::Size, value) => return size(value, flaws),
        (Shape::List(shape), Value::Array(items)) => {
            return mended_list(items, |item| value_of(*shape, item, flaws));
        }
        (Shape::Members(rules), Value::Object(object)) => {
            return members(rules, object, flaws).map(Value::Object);
        }
        (Shape::Schemas, Value::Object(schemas)) => return by_name(true, schemas, flaws),
        (Shape::Objects, Value::Object(objects)) => return by_name(false, objects, flaws),
        (Shape::InputSchema, Value::Object(schema)) => return input_schema(schema, flaws).map(Value::Object),
        (Shape::OutputSchema, Value::Object(schema)) => {
            return output_schema(schema, flaws).map(Value::Object);
        }
        (Shape::Record, Value::Object(record)) => return readable_record(record),
        (Shape::Text, _) => "text",
        (Shape::Flag, _) => "boolean",
        (Shape::List(_), _) => "list",
        (Shape::OneOf(_, what), _) => what,
        (Shape::Fraction, _) => "number from 0 to 1",
        (Shape::DateTime, _) => "date and time (RFC 3339)",
        (Shape::Object | Shape::Objects | Shape::Members(_) | Shape::Schemas, _)
        | (Shape::InputSchema | Shape::OutputSchema | Shape::Record, _) => "object",
    };
    flaws.add_no(no, value);
    Verdict::Drop
}

fn is_fraction(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| (0.0..=1.0).contains(&number))
}

fn readable_record(record: &Map<String, Value>) -> Verdict<Value> {
    if !record.contains_key(schema::NO_RECORD) {
        return Verdict::Fits;
    }
    let mut record = record.clone();
    record.shift_remove(schema::NO_RECORD);
    Verdict::Mend(record.into())
}

/// Spells out booleans among schemas; a value that is no schema becomes `{}`, which allows anything.
fn by_name(are_schemas: bool, values: &Map<String, Value>, flaws: &mut Flaws) -> Verdict<Value> {
    if values.values().all(Value::is_object) {
        return Verdict::Fits;
    }
    let mut changed = Map::with_capacity(values.len());
    for (name, value) in values {
        let held = match value {
            Value::Object(_) => Some(value.clone()),
            _ => {
                flaws.within(name, |flaws| flaws.add_no("object", value));
                are_schemas.then(|| schema::spelled_out(*value != false))
            }
        };
        changed.extend(held.map(|value| (name.clone(), value)));
    }
    Verdict::Mend(Value::Object(changed))
}

/// A whole number; `5.0` is one, too.
fn size(value: &Value, flaws: &mut Flaws) -> Verdict<Value> {
    let is_whole = |number: &f64| (0.0..=LARGEST_SIZE as f64).contains(number) && number.fract() == 0.0;
    match (value.as_u64(), value.as_f64().filter(is_whole)) {
        (Some(size), _) if size <= LARGEST_SIZE => Verdict::Fits,
        (None, Some(number)) => Verdict::Mend((number as u64).into()),
        _ => {
            flaws.add_no("whole number of bytes", value);
            Verdict::Drop
        }
    }
}

/// The schema of a tool's arguments in a form that each client can read.
fn input_schema(schema: &Map<String, Value>, flaws: &mut Flaws) -> Verdict<Map<String, Value>> {
    let held = members(ROOT_SCHEMA, schema, flaws);
    let rooted = if let Verdict::Mend(mended) = &held { mended } else { schema };
    let mut held = schema::held(rooted, flaws).map_or(held, Verdict::Mend);
    if let Verdict::Mend(mended) = &mut held {
        // Some clients refuse the whole list when a schema has no `properties`.
        mended.entry("properties").or_insert_with(|| json!({}));
    }
    held
}

/// The `outputSchema` for clients of the session era: one of an object, which they can compile.
fn output_schema(schema: &Map<String, Value>, flaws: &mut Flaws) -> Verdict<Map<String, Value>> {
    if output::root(schema) == output::Root::Other {
        flaws.add(Wrong::IsNo("schema of an object"));
        return Verdict::Drop;
    }
    let without_id = output::without_id(schema);
    let held = match members(ROOT_SCHEMA, without_id.as_ref().unwrap_or(schema), flaws) {
        Verdict::Fits => without_id.map_or(Verdict::Fits, Verdict::Mend),
        other => other,
    };
    let whole = if let Verdict::Mend(mended) = &held { mended } else { schema };
    match output::compiles(whole) {
        Ok(()) => schema::with_readable_names(whole).map_or(held, Verdict::Mend),
        Err(why) => {
            flaws.add(Wrong::Uncompilable(why));
            Verdict::Drop
        }
    }
}
