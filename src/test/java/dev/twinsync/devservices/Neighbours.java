package dev.twinsync.devservices;

import java.util.HashMap;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;

/** The neighbours of all tests of this JVM, and the service between them: started once, on free ports. */
public final class Neighbours {

    private static Neighbours instance;

    public final Postgres postgres;
    public final Broker broker;
    public final MiniProgram mini;
    private ConfigurableApplicationContext service;

    private Neighbours() throws Exception {
        postgres = Postgres.start(0);
        postgres.createAppTables();
        broker = Broker.start(0);
        mini = MiniProgram.start(0);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                if (service != null) {
                    service.close();
                }
                mini.close();
                broker.close();
                postgres.close();
            } catch (Exception e) {
                // the JVM ends, and they with it
            }
        }));
    }

    public static synchronized Neighbours get() {
        try {
            if (instance == null) {
                instance = new Neighbours();
            }
            return instance;
        } catch (Exception e) {
            throw new IllegalStateException("the neighbours do not start", e);
        }
    }

    /** The settings under which a service finds its neighbours, and the keys by which the tests call it. */
    public static Map<String, String> settings(String database, Broker broker, MiniProgram mini) {
        return Map.ofEntries(
                Map.entry("APP_DB_URL", database),
                Map.entry("APP_DB_USERNAME", "postgres"),
                Map.entry("APP_DB_PASSWORD", "postgres"),
                Map.entry("KAFKA_BROKERS", broker.address()),
                Map.entry("MINI_API_URL", mini.url()),
                Map.entry("MINI_API_KEY", "mini-api-key"),
                Map.entry("SYNC_API_KEY_APP", "app-key"),
                Map.entry("SYNC_API_KEY_MINI", "mini-key"),
                Map.entry("SYNC_API_KEY_OPS", "ops-key"),
                Map.entry("TWINSYNC_DEV", "true"));
    }

    /** The settings of the service that the tests share. */
    public Map<String, Object> settings() {
        Map<String, Object> settings = new HashMap<>(settings(postgres.url(), broker, mini));
        settings.putAll(Map.ofEntries(
                Map.entry("CONSOLE_USERS", people()),
                Map.entry("APP_KEY_SWEEP_INTERVAL", "1s"),
                Map.entry("twinsync.mini.single-calls-for", "10s"),
                Map.entry("KAFKA_CLIENT_METADATA_MAX_AGE_MS", "123456"),
                // records end the wait; most of the time this service idles beside those of the other forks
                Map.entry("CAMEL_COMPONENT_KAFKA_FETCHWAITMAXMS", "2000"),
                Map.entry("twinsync.verification.turn-interval", "200ms"),
                Map.entry("VERIFY_EVERY", "0s"),
                Map.entry("VERIFY_SWEEP_DAYS", "0"),
                Map.entry("VERIFY_QUIET_FLOOR", "1s"),
                Map.entry("VERIFY_QUIET_LONGEST", "3s"),
                Map.entry("VERIFY_MINI_CALLS_PER_SECOND", "3000"),
                Map.entry("VERIFY_APP_PAGES_PER_SECOND", "1000"),
                Map.entry("SERVER_PORT", "0"),
                Map.entry("MANAGEMENT_PORT", "0"),
                Map.entry("spring.jmx.enabled", "false")));
        return settings;
    }

    /** One of each role, whose password is its name. */
    private static String people() {
        var cheap = new org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder(4);
        return java.util.stream.Stream.of("viewer", "operator", "admin")
                .map(role -> role + ':' + role + ':' + cheap.encode(role))
                .collect(java.util.stream.Collectors.joining(","));
    }

    /** The service, started when first asked for. */
    public synchronized ConfigurableApplicationContext service() {
        if (service == null) {
            SpringApplication application = new SpringApplication(dev.twinsync.Twinsync.class);
            application.setDefaultProperties(settings());
            application.addInitializers(context -> context.getBeanFactory().registerSingleton("sandbox", mini));
            application.setRegisterShutdownHook(false);
            service = application.run();
        }
        return service;
    }
}
