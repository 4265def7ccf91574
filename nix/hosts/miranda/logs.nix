# Logs of miranda to Loki on prospero. The journal of the gateway and of its servers becomes one application,
# job="mcpo"; each container's log arrives at a syslog port and keeps the job that the dashboards know.
{ lib, ... }:

let
  hostname = "miranda.incus";

  # Port to Loki job.
  syslog = {
    "51431" = "neo4j-cypher";
    "51432" = "neo4j-memory";
    "51433" = "grafana_mcp";
    "51434" = "argos";
    "51435" = "gitea-mcp";
  };

  listener = port: job: ''
    listener {
      address = "127.0.0.1:${port}"
      labels  = { job = "${job}", hostname = "${hostname}" }
    }
  '';
in
{
  services.alloy.enable = true;

  environment.etc."alloy/config.alloy".text = ''
    loki.write "prospero" {
      endpoint {
        url = "http://prospero.incus:3100/loki/api/v1/push"
      }
    }

    loki.relabel "journal" {
      forward_to = []

      rule {
        source_labels = ["__journal__systemd_unit"]
        target_label  = "unit"
      }
      rule {
        source_labels = ["__journal_priority_keyword"]
        target_label  = "level"
      }
      // The gateway, and each server's unit, of which every connection has an instance.
      rule {
        source_labels = ["__journal__systemd_unit"]
        regex         = "mcpo\\.service|mcpo-server-.*"
        target_label  = "job"
        replacement   = "mcpo"
      }
    }

    loki.source.journal "journal" {
      labels        = { job = "systemd-journal", hostname = "${hostname}" }
      relabel_rules = loki.relabel.journal.rules
      forward_to    = [loki.write.prospero.receiver]
    }

    loki.source.syslog "containers" {
    ${lib.concatStrings (lib.mapAttrsToList listener syslog)}
      forward_to = [loki.write.prospero.receiver]
    }
  '';
}
