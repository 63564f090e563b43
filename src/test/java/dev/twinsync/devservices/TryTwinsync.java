package dev.twinsync.devservices;

import static org.awaitility.Awaitility.await;

import dev.twinsync.Twinsync;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.actuate.health.Health;
import org.springframework.boot.actuate.health.HealthIndicator;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.env.MapPropertySource;

/**
 * The whole system from one command. An end that the environment names is used as it is: it gets no schema, no data and
 * no traffic. What it doesn't name is started here, on 127.0.0.1.
 */
public final class TryTwinsync {

    private static final int POSTGRES = 15432;
    private static final int KAFKA = 19092;
    private static final int MINI = 18090;

    private final Map<String, String> environment = System.getenv();
    private final Map<String, Object> settings = new HashMap<>();
    private final Deque<AutoCloseable> started = new ArrayDeque<>();

    private TryTwinsync() {}

    public static void main(String[] args) {
        // the dev services log what no one asked for
        System.setProperty(
                "org.springframework.boot.logging.LoggingSystem",
                "org.springframework.boot.logging.logback.LogbackLoggingSystem");
        quiet();
        try {
            new TryTwinsync().run(args);
        } catch (Throwable e) {
            Throwable cause = e;
            while (cause instanceof CompletionException && cause.getCause() != null) {
                cause = cause.getCause();
            }
            System.err.println("Twinsync does not start: " + cause.getMessage());
            System.exit(1);
        }
    }

    private static void quiet() {
        ((ch.qos.logback.classic.Logger) org.slf4j.LoggerFactory.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME))
                .setLevel(ch.qos.logback.classic.Level.ERROR);
    }

    private void run(String[] args) throws Exception {
        free(port("SERVER_PORT", 8080), "SERVER_PORT");
        free(port("MANAGEMENT_PORT", 8081), "MANAGEMENT_PORT");
        boolean ownApp = !environment.containsKey("APP_DB_URL");
        boolean ownKafka = !environment.containsKey("KAFKA_BROKERS");
        boolean ownMini = !environment.containsKey("MINI_API_URL");
        if (ownKafka) {
            free(KAFKA, "KAFKA_BROKERS");
        }
        if (ownMini) {
            free(MINI, "MINI_API_URL");
        }
        Runtime.getRuntime().addShutdownHook(new Thread(this::stop, "stop"));
        CompletableFuture<Postgres> postgres =
                ownApp ? CompletableFuture.supplyAsync(() -> own(() -> Postgres.start(POSTGRES))) : null;
        CompletableFuture<Broker> broker =
                ownKafka ? CompletableFuture.supplyAsync(() -> own(() -> Broker.start(KAFKA))) : null;
        MiniProgram mini = ownMini ? own(() -> MiniProgram.start(MINI)) : null;
        Postgres app = ownApp ? postgres.join() : null;
        if (ownKafka) {
            broker.join();
        }
        if (ownApp) {
            app.createAppTables();
        }
        Demo.fill(app, mini);
        setting("APP_DB_URL", "jdbc:postgresql://127.0.0.1:" + POSTGRES + "/app");
        setting("APP_DB_USERNAME", "postgres");
        setting("APP_DB_PASSWORD", "postgres");
        setting("KAFKA_BROKERS", "127.0.0.1:" + KAFKA);
        setting("MINI_API_URL", "http://127.0.0.1:" + MINI);
        setting("MINI_API_KEY", "mini-api-key");
        setting("SYNC_API_KEY_APP", "app-key");
        setting("SYNC_API_KEY_MINI", "mini-key");
        setting("SYNC_API_KEY_OPS", "ops-key");
        // admin / admin
        setting("CONSOLE_USERS", "admin:admin:$2a$10$3PQeZAAtsuzV7LkyYGUD0OeachZ2T4PYhHsfGUIaH0jHm/mRI8kUO");
        setting("TWINSYNC_DEV", "true");
        // everyone knows these keys
        settings.put("server.address", "127.0.0.1");
        settings.put("management.server.address", "127.0.0.1");
        SpringApplication application = new SpringApplication(Twinsync.class);
        application.setDefaultProperties(settings);
        if (ownApp && ownMini) {
            // both ends on one screen
            application.addInitializers(context -> context.getBeanFactory().registerSingleton("sandbox", mini));
        }
        boolean ownState = ownApp && ownMini && !environment.containsKey("SYNC_DB_URL");
        if (ownState) {
            application.addInitializers(context -> readyWithDemo(context, app));
        }
        application.setLogStartupInfo(false);
        try {
            application.run(args);
        } catch (RuntimeException e) {
            // it has said why itself
            System.exit(1);
        }
        if (ownState) {
            await("the demo's records are known")
                    .atMost(Duration.ofMinutes(1))
                    .pollInterval(Duration.ofMillis(50))
                    .until(() -> Demo.isKnown(app));
        }
        if (!"off".equalsIgnoreCase(environment.getOrDefault("DEMO_TRAFFIC", "on")) && (ownApp || ownMini)) {
            started.push(new Traffic(app, mini));
        }
        System.out.println(welcome(ownApp, ownKafka, ownMini));
    }

    /**
     * Part of readiness here: a push that comes before the first poll meets an order of which nobody has told what the
     * app holds, and is told of its amount later; whoever tries the demo's commands would see that amount win.
     */
    private static void readyWithDemo(ConfigurableApplicationContext context, Postgres app) {
        context.getEnvironment()
                .getPropertySources()
                .addFirst(new MapPropertySource(
                        "demo",
                        Map.of("management.endpoint.health.group.readiness.include", "readinessState,started,demo")));
        HealthIndicator demo = () -> Demo.isKnown(app)
                ? Health.up().build()
                : Health.down()
                        .withDetail("cause", "the demo's records have not been read yet")
                        .build();
        context.getBeanFactory().registerSingleton("demoHealthIndicator", demo);
    }

    private void setting(String name, String value) {
        if (!environment.containsKey(name)) {
            settings.put(name, value);
        }
    }

    private int port(String name, int otherwise) {
        return Integer.parseInt(environment.getOrDefault(name, String.valueOf(otherwise)));
    }

    private static void free(int port, String setting) {
        try (ServerSocket socket = new ServerSocket()) {
            socket.setReuseAddress(true);
            socket.bind(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port));
        } catch (IOException e) {
            throw new IllegalStateException(
                    "port " + port + " is taken: stop what listens there, or set " + setting + " to something else");
        }
    }

    private interface Start<T> {
        T start() throws Exception;
    }

    private <T extends AutoCloseable> T own(Start<T> start) {
        try {
            T service = start.start();
            synchronized (started) {
                started.push(service);
            }
            return service;
        } catch (Exception e) {
            throw new IllegalStateException(e.getMessage(), e);
        }
    }

    private void stop() {
        synchronized (started) {
            for (AutoCloseable service : started) {
                try {
                    service.close();
                } catch (Exception e) {
                    System.err.println(service.getClass().getSimpleName() + " did not stop: " + e.getMessage());
                }
            }
        }
    }

    private String welcome(boolean ownApp, boolean ownKafka, boolean ownMini) {
        int port = port("SERVER_PORT", 8080);
        return """

                Twinsync runs.
                  console        http://127.0.0.1:%d/console/demo      admin, admin
                  API            http://127.0.0.1:%d      keys: app-key, mini-key, ops-key
                  health         http://127.0.0.1:%d/actuator/health
                  app database   %s
                  Kafka          %s
                  mini-program   %s

                Try it:
                  # the app's backend says that an order was paid; a moment later the mini-program has it
                  curl -H 'Authorization: Bearer app-key' -H 'Content-Type: application/json' 127.0.0.1:%d/sync_order_data \\
                    -d '{"order_id":"789012","data":{"status":"已支付","payment_amount":199.99}}'
                  curl -H 'Authorization: Bearer ops-key' 127.0.0.1:%d/orders/789012
                  curl -H 'Authorization: Bearer ops-key' 127.0.0.1:%d/orders/789012/timeline
                  # change a nickname in the app's database, or at the mini-program
                  psql postgresql://postgres:postgres@127.0.0.1:15432/app \\
                    -c "update users set nickname = '张三', updated_at = now() where user_id = '123456'"
                  curl 127.0.0.1:18090/__sandbox/edit/user/123456 -d '{"nickname":"李四"}'
                  # one order is refused by the mini-program: mend it there, then retry
                  curl -H 'Authorization: Bearer ops-key' '127.0.0.1:%d/dead-letters?state=open'
                  curl -X POST 127.0.0.1:18090/__sandbox/allow/order/800042
                  curl -X POST -H 'Authorization: Bearer ops-key' 127.0.0.1:%d/dead-letters/1/retry

                Ctrl-C stops everything.
                """.formatted(
                        port,
                        port,
                        port("MANAGEMENT_PORT", 8081),
                        ownApp ? "127.0.0.1:15432/app (postgres, postgres)" : environment.get("APP_DB_URL"),
                        ownKafka ? "127.0.0.1:19092" : environment.get("KAFKA_BROKERS"),
                        ownMini ? "http://127.0.0.1:18090" : environment.get("MINI_API_URL"),
                        port,
                        port,
                        port,
                        port,
                        port);
    }
}
