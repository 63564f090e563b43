package dev.twinsync.flow;

import dev.twinsync.InvalidSetting;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.camel.component.kafka.KafkaComponent;
import org.apache.camel.spi.ComponentCustomizer;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.env.ConfigurableEnvironment;
import org.springframework.core.env.EnumerablePropertySource;
import org.springframework.stereotype.Component;

/**
 * How this service's clients reach Kafka: the brokers and what {@code KAFKA_CLIENT_*} passes through, to the flows and
 * to the service's own clients alike. {@code KAFKA_CLIENT_SECURITY_PROTOCOL} is Kafka's {@code security.protocol}.
 */
@Component
public class KafkaClients {

    private static final String PREFIX = "KAFKA_CLIENT_";

    /** What keeps a message until it is worked is not for the environment to change. */
    private static final Set<String> OURS = Set.of(
            "bootstrap.servers",
            "group.id",
            "group.instance.id",
            "enable.auto.commit",
            "auto.offset.reset",
            "isolation.level",
            "acks",
            "enable.idempotence",
            "key.serializer",
            "value.serializer",
            "key.deserializer",
            "value.deserializer",
            "transactional.id");

    private final String brokers;
    private final Map<String, Object> passed = new TreeMap<>();

    KafkaClients(ConfigurableEnvironment environment) {
        brokers = environment.getRequiredProperty("twinsync.kafka.brokers");
        Set<String> known = new HashSet<>(AdminClientConfig.configNames());
        known.addAll(ConsumerConfig.configNames());
        known.addAll(ProducerConfig.configNames());
        environment.getPropertySources().forEach(source -> {
            if (source instanceof EnumerablePropertySource<?> listed) {
                for (String name : listed.getPropertyNames()) {
                    if (name.startsWith(PREFIX)) {
                        String setting = name.substring(PREFIX.length())
                                .toLowerCase(Locale.ROOT)
                                .replace('_', '.');
                        if (OURS.contains(setting)) {
                            throw new InvalidSetting(
                                    name + ": " + setting + " is set by Twinsync itself; leave it out");
                        }
                        if (!known.contains(setting)) {
                            throw new InvalidSetting(name + ": Kafka's clients know no setting " + setting
                                    + "; write its name in capitals with _ for each dot");
                        }
                        passed.put(setting, environment.getProperty(name));
                    }
                }
            }
        });
    }

    public String brokers() {
        return brokers;
    }

    /** What the environment passes through, by Kafka's own names. */
    public Map<String, Object> passed() {
        return Map.copyOf(passed);
    }

    /** For a client that asks about the cluster: it answers, or gives up, within 15 s. */
    public Map<String, Object> properties() {
        Map<String, Object> properties = new HashMap<>(passed);
        properties.keySet().retainAll(AdminClientConfig.configNames());
        properties.put("bootstrap.servers", brokers);
        properties.put("request.timeout.ms", "10000");
        properties.put("default.api.timeout.ms", "15000");
        return properties;
    }

    @Configuration
    static class OfFlows {

        @Bean
        ComponentCustomizer kafkaClientSettings(KafkaClients clients, KafkaReaders readers) {
            return ComponentCustomizer.forType(KafkaComponent.class, kafka -> {
                kafka.getConfiguration().getAdditionalProperties().putAll(clients.passed());
                kafka.setKafkaClientFactory(readers);
            });
        }
    }
}
