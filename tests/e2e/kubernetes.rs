//! The Kubernetes samples have no field that the API does not know, none of the wrong type, and none that is missing. No cluster is at
//! hand, so that the part of the API's schema that the samples use is written down here (batch/v1, apps/v1 and v1, as of Kubernetes 1.29).

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};

const CRONJOB: &str = include_str!("../../samples/kubernetes/cronjob.yaml");
const WORKERS: &str = include_str!("../../samples/kubernetes/workers.yaml");

type Text = BTreeMap<String, String>;

/// An object with these fields and no others, in the API's spelling. An optional field is an `Option`.
macro_rules! objects {
    ($($name:ident { $($field:ident: $type:ty,)+ })+) => {
        $(
            #[derive(Debug, Deserialize)]
            #[serde(deny_unknown_fields, rename_all = "camelCase")]
            #[allow(dead_code, reason = "most fields are read by being deserialised alone")]
            #[allow(clippy::struct_field_names, reason = "the names are Kubernetes' own")]
            struct $name { $($field: $type,)+ }
        )+
    };
}

/// A text that is one of a few.
macro_rules! words {
    ($($name:ident { $($word:ident,)+ })+) => {
        $(
            #[derive(Debug, Deserialize)]
            #[allow(clippy::enum_variant_names, reason = "the words are Kubernetes' own")]
            enum $name { $($word,)+ }
        )+
    };
}

words! {
    AccessMode { ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod, }
    ConcurrencyPolicy { Allow, Forbid, Replace, }
    // A Job takes no `Always`.
    RestartPolicy { Never, OnFailure, }
    SeccompType { RuntimeDefault, Unconfined, Localhost, }
}

objects! {
    Metadata { name: String, labels: Option<Text>, annotations: Option<Text>, namespace: Option<String>, }
    Claim { api_version: String, kind: String, metadata: Metadata, spec: ClaimSpec, }
    ClaimSpec { access_modes: Vec<AccessMode>, resources: Resources, storage_class_name: Option<String>, }
    Resources { requests: Option<Text>, limits: Option<Text>, }
    CronJob { api_version: String, kind: String, metadata: Metadata, spec: CronJobSpec, }
    CronJobSpec {
        schedule: String,
        time_zone: Option<String>,
        concurrency_policy: Option<ConcurrencyPolicy>,
        starting_deadline_seconds: Option<u32>,
        successful_jobs_history_limit: Option<u32>,
        failed_jobs_history_limit: Option<u32>,
        suspend: Option<bool>,
        job_template: JobTemplate,
    }
    Deployment { api_version: String, kind: String, metadata: Metadata, spec: DeploymentSpec, }
    DeploymentSpec { replicas: Option<u32>, selector: serde_json::Value, template: PodTemplate, }
    JobTemplate { metadata: Option<Metadata>, spec: JobSpec, }
    JobSpec { backoff_limit: Option<u32>, active_deadline_seconds: Option<u32>, template: PodTemplate, }
    PodTemplate { metadata: Option<Labels>, spec: PodSpec, }
    Labels { labels: Option<Text>, annotations: Option<Text>, }
    PodSpec {
        restart_policy: RestartPolicy,
        termination_grace_period_seconds: Option<u32>,
        automount_service_account_token: Option<bool>,
        service_account_name: Option<String>,
        security_context: Option<PodSecurity>,
        containers: Vec<Container>,
        volumes: Vec<Volume>,
    }
    PodSecurity {
        run_as_non_root: Option<bool>,
        run_as_user: Option<u32>,
        run_as_group: Option<u32>,
        fs_group: Option<u32>,
        seccomp_profile: Option<SeccompProfile>,
    }
    SeccompProfile { r#type: SeccompType, }
    Container {
        name: String,
        image: String,
        args: Vec<String>,
        env: Vec<Variable>,
        resources: Resources,
        security_context: Option<ContainerSecurity>,
        volume_mounts: Vec<Mount>,
    }
    Variable { name: String, value: String, }
    ContainerSecurity {
        allow_privilege_escalation: Option<bool>,
        read_only_root_filesystem: Option<bool>,
        capabilities: Option<Capabilities>,
    }
    Capabilities { add: Option<Vec<String>>, drop: Option<Vec<String>>, }
    Mount { name: String, mount_path: String, read_only: Option<bool>, sub_path: Option<String>, }
    Volume {
        name: String,
        persistent_volume_claim: Option<ClaimSource>,
        config_map: Option<ConfigMapSource>,
        secret: Option<SecretSource>,
        empty_dir: Option<EmptyDirSource>,
    }
    ClaimSource { claim_name: String, read_only: Option<bool>, }
    ConfigMapSource { name: String, default_mode: Option<u32>, }
    SecretSource { secret_name: String, default_mode: Option<u32>, }
    EmptyDirSource { medium: Option<String>, size_limit: Option<String>, }
}

fn read<T: DeserializeOwned>(object: &serde_json::Value) -> Result<T, serde_json::Error> {
    T::deserialize(object)
}

fn objects() -> Vec<serde_json::Value> {
    serde_saphyr::from_multiple(CRONJOB).expect("the sample is YAML")
}

#[test]
fn the_sample_is_what_the_api_takes() {
    let objects = objects();
    let [claim, cron_job] = objects.as_slice() else {
        panic!("{} objects", objects.len());
    };
    assert_eq!(claim["apiVersion"], "v1");
    assert_eq!(claim["kind"], "PersistentVolumeClaim");
    let claim: Claim = read(claim).expect("a claim");
    assert_eq!(cron_job["apiVersion"], "batch/v1");
    assert_eq!(cron_job["kind"], "CronJob");
    let cron_job: CronJob = read(cron_job).expect("a cron job");

    // What a mistake would break without a word.
    let pod = &cron_job.spec.job_template.spec.template.spec;
    let volumes: Vec<&str> = pod
        .volumes
        .iter()
        .map(|volume| volume.name.as_str())
        .collect();
    for mount in &pod.containers[0].volume_mounts {
        assert!(volumes.contains(&mount.name.as_str()), "{}", mount.name);
    }
    let claimed = pod
        .volumes
        .iter()
        .find_map(|volume| volume.persistent_volume_claim.as_ref());
    assert_eq!(
        claimed.map(|source| &source.claim_name),
        Some(&claim.metadata.name)
    );
}

#[test]
fn the_deployment_of_workers_is_what_the_api_takes() {
    let objects: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(WORKERS).expect("the sample is YAML");
    let [deployment] = objects.as_slice() else {
        panic!("{} objects", objects.len());
    };
    assert_eq!(deployment["apiVersion"], "apps/v1");
    assert_eq!(deployment["kind"], "Deployment");
    // A Deployment takes `Always` alone, and that is all that its pods have apart from those of a Job.
    let mut deployment = deployment.clone();
    let policy = deployment
        .pointer_mut("/spec/template/spec/restartPolicy")
        .expect("a policy");
    assert_eq!(policy.take(), "Always");
    *policy = "Never".into();
    let deployment: Deployment = read(&deployment).expect("a deployment");
    let template = deployment.spec.template;
    let labels = template.metadata.and_then(|metadata| metadata.labels);
    let labels = serde_json::json!({ "matchLabels": labels });
    assert_eq!(deployment.spec.selector, labels);
    let pod = &template.spec;
    let volumes: Vec<&String> = pod.volumes.iter().map(|volume| &volume.name).collect();
    for mount in &pod.containers[0].volume_mounts {
        assert!(volumes.contains(&&mount.name), "{}", mount.name);
    }
}

#[test]
fn a_mistake_in_the_sample_is_found() {
    let cron_job = &objects()[1];
    let text = cron_job.to_string();
    for (right, wrong) in [
        (
            "\"concurrencyPolicy\":\"Forbid\"",
            "\"concurrencyPolicy\":\"Forbidden\"",
        ),
        ("\"backoffLimit\":0", "\"backofLimit\":0"),
        (
            "\"restartPolicy\":\"Never\"",
            "\"restartPolicy\":\"Always\"",
        ),
        ("\"runAsUser\":10001", "\"runAsUser\":\"10001\""),
    ] {
        assert!(text.contains(right), "{right}");
        let changed = serde_json::from_str(&text.replace(right, wrong)).expect("still JSON");
        assert!(read::<CronJob>(&changed).is_err(), "{wrong}");
    }
}
