package dev.twinsync.state;

import dev.twinsync.InvalidSetting;
import dev.twinsync.flow.KafkaClients;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.camel.CamelContext;
import org.apache.camel.spring.boot.CamelContextConfiguration;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.errors.TopicExistsException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/** Makes the topics that are missing before the first flow starts; those that exist keep what they were given. */
@Component
class TopicsAtStart implements CamelContextConfiguration {

    private static final Logger LOG = LoggerFactory.getLogger(TopicsAtStart.class);

    private final Schemas schemas;
    private final KafkaClients clients;
    private final int partitions;
    private final short replicas;
    private final long retentionMs;

    TopicsAtStart(
            Schemas schemas,
            KafkaClients clients,
            @Value("${twinsync.topics.partitions:6}") int partitions,
            @Value("${twinsync.topics.replicas:-1}") short replicas,
            @Value("${twinsync.topics.retention:7d}") java.time.Duration retention) {
        this.schemas = schemas;
        this.clients = clients;
        this.partitions = partitions;
        this.replicas = replicas;
        this.retentionMs = retention.toMillis();
    }

    @Override
    public void beforeApplicationStart(CamelContext context) {
        Map<String, NewTopic> wanted = new HashMap<>();
        for (Schema schema : schemas.all()) {
            Topics.of(schema, partitions, replicas, retentionMs).forEach(topic -> wanted.put(topic.name(), topic));
        }
        try (Admin admin = Admin.create(clients.properties())) {
            admin.listTopics().names().get(20, TimeUnit.SECONDS).forEach(wanted::remove);
            if (wanted.isEmpty()) {
                return;
            }
            try {
                admin.createTopics(List.copyOf(wanted.values())).all().get(30, TimeUnit.SECONDS);
                LOG.info("Made the topics {}", wanted.keySet().stream().sorted().toList());
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof TopicExistsException)) {
                    throw e;
                }
            }
        } catch (org.apache.kafka.common.KafkaException e) {
            Throwable root = e.getCause() == null ? e : e.getCause();
            throw new InvalidSetting(
                    "KAFKA_BROKERS, KAFKA_CLIENT_*: no client can be made of them: " + root.getMessage(), e);
        } catch (ExecutionException | TimeoutException e) {
            throw new InvalidSetting(
                    "KAFKA_BROKERS: Kafka at " + clients.brokers() + " can't be asked for its topics: "
                            + (e.getCause() == null
                                    ? "no answer in 20 s"
                                    : e.getCause().getMessage()),
                    e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
    }

    @Override
    public void afterApplicationStart(CamelContext context) {
        // nothing: the flows run
    }
}
