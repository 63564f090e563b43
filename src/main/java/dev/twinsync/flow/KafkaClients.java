package dev.twinsync.flow;

import java.util.HashMap;
import java.util.Map;
import org.springframework.boot.context.properties.bind.Bindable;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/** How this service's own clients reach Kafka: the brokers and what {@code KAFKA_CLIENT_*} passes through. */
@Component
public class KafkaClients {

    private final String brokers;
    private final Map<String, Object> properties = new HashMap<>();

    KafkaClients(Environment environment) {
        brokers = environment.getRequiredProperty("twinsync.kafka.brokers");
        Binder.get(environment)
                .bind("twinsync.kafka.client", Bindable.mapOf(String.class, String.class))
                .orElse(Map.of())
                .forEach(properties::put);
        properties.put("bootstrap.servers", brokers);
        properties.put("request.timeout.ms", "10000");
        properties.put("default.api.timeout.ms", "15000");
    }

    public String brokers() {
        return brokers;
    }

    public Map<String, Object> properties() {
        return Map.copyOf(properties);
    }
}
