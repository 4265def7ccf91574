# Logs of miranda to Loki on prospero. The journal of the gateway and of its servers becomes one application,
# job="mcpo"; each container's log arrives at a syslog port and keeps the job that the dashboards know.
{ lib, ... }:

let
  hostname = "miranda.incus";

  containers = import ./table.nix;

  listener = container: ''
    listener {
      address = "127.0.0.1:${toString container.syslog}"
      labels  = { job = "${container.job}", hostname = "${hostname}" }
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
    ${lib.concatMapStrings listener (builtins.attrValues containers)}
      forward_to = [loki.write.prospero.receiver]
    }
  '';
}
