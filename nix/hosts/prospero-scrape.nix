# For prospero, which runs Prometheus: how it reads the gateway's metrics.
{
  services.prometheus.scrapeConfigs = [
    {
      job_name = "mcpo";
      static_configs = [ { targets = [ "miranda.incus:25530" ]; } ];
      # The key `prometheus` of miranda: it opens /metrics and no server.
      authorization.credentials_file = "/run/secrets/mcpo-prometheus";
    }
  ];
}
