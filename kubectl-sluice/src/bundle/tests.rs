use super::*;

#[test]
fn nothing_secret_is_kept() {
    let variable = json!([{"name": "TOKEN", "value": "s3cret"}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]);
    let mut pod = json!({
        "metadata": {"name": "p", "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "s3cret", "kept": "yes"}},
        "spec": {"containers": [{"name": "a", "env": variable}], "initContainers": [{"env": variable}]},
    });
    clean(&mut pod);
    let text = pod.to_string();
    assert!(
        !text.contains("s3cret") && !text.contains("managedFields"),
        "{text}"
    );
    assert!(
        text.contains("TOKEN") && text.contains("spec.nodeName") && text.contains("kept"),
        "{text}"
    );
    assert!(
        LISTS
            .iter()
            .all(|(path, _)| !path.contains("secret") && !path.contains("configmap"))
    );
}
