package dev.twinsync;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.springframework.stereotype.Component;

/** The rooms and their doors. */
@AnalyzeClasses(packages = "dev.twinsync", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {

    @ArchTest
    static final ArchRule THE_MERGE_KNOWS_NO_MACHINERY = noClasses()
            .that()
            .resideInAPackage("dev.twinsync.merge..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(
                    "org.apache..", "org.springframework..", "java.sql..", "javax.sql..", "java.net..", "java.io..");

    @ArchTest
    static final ArchRule THE_MERGE_ASKS_NO_CLOCK_AND_THROWS_NO_DICE = noClasses()
            .that()
            .resideInAPackage("dev.twinsync.merge..")
            .should()
            .callMethod(java.time.Instant.class, "now")
            .orShould()
            .callMethod(System.class, "currentTimeMillis")
            .orShould()
            .callMethod(System.class, "nanoTime")
            .orShould()
            .dependOnClassesThat()
            .areAssignableTo(java.time.Clock.class)
            .orShould()
            .dependOnClassesThat()
            .areAssignableTo(java.util.Random.class);

    @ArchTest
    static final ArchRule NO_ROOM_NEEDS_A_ROOM_THAT_NEEDS_IT =
            slices().matching("dev.twinsync.(*)..").should().beFreeOfCycles();

    @ArchTest
    static final ArchRule WHAT_IS_PUBLIC_IS_USED_NEXT_DOOR_OR_BY_A_FLOW = classes()
            .that()
            .arePublic()
            .and()
            .areTopLevelClasses()
            .and(DescribedPredicate.not(DescribedPredicate.describe("the start", ArchitectureTest::isStart)))
            .should(new ArchCondition<>("be used from another package or named by a flow") {
                private final String flows = flows();

                @Override
                public void check(JavaClass type, ConditionEvents events) {
                    boolean nextDoor = type.getDirectDependenciesToSelf().stream()
                            .anyMatch(d -> !d.getOriginClass().getPackageName().equals(type.getPackageName()));
                    boolean named = flows.contains("ref: " + name(type) + '\n')
                            || flows.contains("type: " + type.getName() + '\n');
                    events.add(new SimpleConditionEvent(
                            type, nextDoor || named, type.getName() + " is public for nobody"));
                }
            });

    private static boolean isStart(JavaClass type) {
        return type.getName().equals("dev.twinsync.Twinsync");
    }

    private static String name(JavaClass type) {
        String name = type.isAnnotatedWith(Component.class)
                ? type.getAnnotationOfType(Component.class).value()
                : "";
        return name.isEmpty()
                ? type.getSimpleName().substring(0, 1).toLowerCase(Locale.ROOT)
                        + type.getSimpleName().substring(1)
                : name;
    }

    private static String flows() {
        try (Stream<Path> files = Files.walk(Path.of("routes"))) {
            return files.filter(file -> file.toString().endsWith(".camel.yaml"))
                    .map(ArchitectureTest::text)
                    .collect(Collectors.joining("\n"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
