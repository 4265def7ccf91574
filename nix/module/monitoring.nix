# The alerts and the dashboard, for the machines that run Prometheus and Grafana, which need not run the gateway.
{ config, lib, ... }:

let
  inherit (lib) mkEnableOption mkIf;
  cfg = config.services.mcpo-gateway;
in
{
  options.services.mcpo-gateway = {
    prometheusRules.enable = mkEnableOption "the alerts on the gateway's metrics in the Prometheus of this machine";
    grafanaDashboard.enable = mkEnableOption "the gateway's dashboard in the Grafana of this machine";
  };

  config = {
    services.prometheus.ruleFiles = mkIf cfg.prometheusRules.enable [ ../prometheus/mcpo.rules.yml ];
    services.grafana.provision = mkIf cfg.grafanaDashboard.enable {
      enable = true;
      dashboards.settings.providers = [
        {
          name = "mcpo";
          options.path = ../grafana;
        }
      ];
    };
  };
}
