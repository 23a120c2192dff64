//! What the API server refuses by schema alone, in its words: unknown fields,
//! absent fields, types, enums and bounds. Only what our schemas use.

use serde_json::Value;

/// All that the schema refuses in `value`, which stands at `path`.
pub fn refusals(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, path, &mut found);
    found
}

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(options) = schema.get("enum").and_then(Value::as_array)
        && !options.contains(value)
    {
        found.push(format!("{path}: Unsupported value: {value}"));
    }
    let int_or_string = schema.get("x-kubernetes-int-or-string").is_some();
    let wanted = schema.get("type").and_then(Value::as_str);
    match value {
        _ if int_or_string && !value.is_string() && !value.is_i64() => {
            found.push(format!("{path}: must be of type int or string"));
        }
        Value::String(text) => {
            if !int_or_string {
                expect("string", wanted, path, found);
            }
            let length = u64::try_from(text.len()).unwrap();
            bound(schema, "minLength", path, found, |limit| {
                (length < limit).then(|| format!("should be at least {limit} chars long"))
            });
            bound(schema, "maxLength", path, found, |limit| {
                (length > limit).then(|| format!("Too long: may not be more than {limit} bytes"))
            });
        }
        Value::Array(items) => {
            expect("array", wanted, path, found);
            let length = u64::try_from(items.len()).unwrap();
            bound(schema, "minItems", path, found, |limit| {
                (length < limit).then(|| format!("should have at least {limit} items"))
            });
            bound(schema, "maxItems", path, found, |limit| {
                (length > limit)
                    .then(|| format!("Too many: {length}: must have at most {limit} items"))
            });
            for (i, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{path}[{i}]"), found);
            }
        }
        Value::Object(_) => check_object(schema, value, path, found),
        Value::Number(number) => {
            if !int_or_string {
                expect("integer", wanted, path, found);
            }
            let number = number.as_i64().unwrap();
            let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
            let above = limit("minimum").is_none_or(|limit| number as f64 >= limit);
            let below = limit("maximum").is_none_or(|limit| number as f64 <= limit);
            if !above || !below {
                found.push(format!("{path}: {number} is out of bounds"));
            }
        }
        Value::Bool(_) => expect("boolean", wanted, path, found),
        Value::Null => {}
    }
}

fn check_object(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    expect(
        "object",
        schema.get("type").and_then(Value::as_str),
        path,
        found,
    );
    let Some(fields) = value.as_object() else {
        return;
    };
    let count = u64::try_from(fields.len()).unwrap();
    bound(schema, "minProperties", path, found, |limit| {
        (count < limit).then(|| format!("should have at least {limit} properties"))
    });
    bound(schema, "maxProperties", path, found, |limit| {
        (count > limit).then(|| format!("must have at most {limit} items"))
    });
    let join = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            found.push(format!("{}: Required value", join(name)));
        }
    }
    for (name, field) in fields {
        if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            continue;
        }
        let property = schema.pointer(&format!("/properties/{name}"));
        match property.or_else(|| schema.get("additionalProperties")) {
            Some(schema) => check(schema, field, &join(name), found),
            None => found.push(format!("unknown field \"{}\"", join(name))),
        }
    }
}

fn expect(is: &str, wanted: Option<&str>, path: &str, found: &mut Vec<String>) {
    if let Some(wanted) = wanted
        && wanted != is
    {
        found.push(format!("{path}: must be of type {wanted}: \"{is}\""));
    }
}

fn bound(
    schema: &Value,
    key: &str,
    path: &str,
    found: &mut Vec<String>,
    refuses: impl Fn(u64) -> Option<String>,
) {
    if let Some(why) = schema.get(key).and_then(Value::as_u64).and_then(refuses) {
        found.push(format!("{path}: {why}"));
    }
}
